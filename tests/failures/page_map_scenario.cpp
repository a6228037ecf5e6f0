// Load, fault, remove and write back, over a file and over memory: whatever fails, no page is lost and none is leaked.
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <vector>

#include "impl/page_map/fault_handler.hpp"
#include "impl/store/file_store.hpp"
#include "impl/store/memory_store.hpp"
#include "impl/store/page_contents.hpp"
#include "tests/failures/scenario.hpp"
#include "tests/impl/store/temporary_folder.hpp"

namespace page_map_lab::failures {
namespace {

constexpr std::uint64_t object_pages = 24;
/// The memory of so many pages could not be given back that the run's frames are in quarantine, as documented.
struct OutOfFrames {};

constexpr std::uint64_t frame_count = 18;  // fewer: loads and faults have to evict

sigjmp_buf after_crash;
void jump_back(int) { siglongjmp(after_crash, 1); }

int object_mappings() {
    std::ifstream maps("/proc/self/maps");
    int count = 0;
    for (std::string line; std::getline(maps, line);) {
        count += line.find("page-map-object") != std::string::npos;
    }
    return count;
}

/// The run over one store, and what the oracle knows: which version each page has.
class PageMapRun {
public:
    PageMapRun(const VariantEntry& variant, Store& store) : variant_(variant), store_(store) {
        // Before the page map's handler, which hands it what it cannot serve.
        struct sigaction action {};
        action.sa_handler = jump_back;
        ::sigaction(SIGSEGV, &action, nullptr);
    }

    void run();

private:
    static constexpr Documented loads{{ErrorCode::no_memory, ErrorCode::no_frame, ErrorCode::io}, Throws::bad_alloc};
    static constexpr Documented faults{{ErrorCode::no_memory, ErrorCode::no_frame, ErrorCode::io, ErrorCode::system}};
    static constexpr Documented revokes{{ErrorCode::no_memory, ErrorCode::system, ErrorCode::io}};
    static constexpr Documented maps{{ErrorCode::no_memory, ErrorCode::system}, Throws::bad_alloc_or_runtime_error};

    /// Everything that can be seen at rest; after each failure.
    void look() {
        const Status sound = map_->audit();
        if (!sound) {
            broken(sound.error().text());
        }
        for (PageIndex index = 0; index < object_pages; ++index) {
            const Result<AnyCounted> page = map_->load_nowait(index);
            if (page) {
                const auto found = version_of(map_->bytes(*page).first<page_size>(), index);
                map_->put(*page);
                // What was written through a mapping before the failure is there; nothing else was written.
                expect(index, found, "in memory");
            }
        }
    }
    void expect(PageIndex index, std::optional<std::uint64_t> found, const char* where) const {
        if (found != version_[index]) {
            broken("page " + std::to_string(index) + " " + where + " has version " +
                         (found ? std::to_string(*found) : "none") + " for " + std::to_string(version_[index]));
        }
    }

    /// A page that somebody holds for a scope.
    struct Held {
        Held(PageMapRun& on, PageIndex index) : run(on), page(on.load(index)) {}
        ~Held() { run.map_->put(page); }
        Held(const Held&) = delete;
        Held& operator=(const Held&) = delete;
        PageMapRun& run;
        const AnyCounted page;
    };

    template <class Operation>
    auto attempt_here(const char* name, Documented documented, Operation&& operation) {
        return attempt(name, documented, operation, [this](const Error* error) {
            look();
            if (error != nullptr && error->code == ErrorCode::no_frame && injected_into("fallocate")) {
                throw OutOfFrames();
            }
        });
    }

    AnyCounted load(PageIndex index) {
        AnyCounted page = *attempt_here("load", loads, [&] { return map_->load(index); });
        expect(index, version_of(map_->bytes(page).first<page_size>(), index), "loaded");
        return page;
    }
    void write(PageIndex index, std::uint64_t version) {
        const AnyCounted page = load(index);
        fill_contents(map_->bytes(page), index, version);
        version_[index] = version;
        map_->mark_dirty(page);
        map_->put(page);
    }

    /// An access to a mapped page: succeeds, or is passed on as a crash whose reason is documented.
    template <class Access>
    void touch(const char* name, Access&& access) {
        attempt_here(name, faults, [&]() -> Status {
            if (sigsetjmp(after_crash, 1) != 0) {
                return fail(FaultHandler::last_failure());
            }
            access();
            return {};
        });
    }
    void read_mapped(AnyRegion* region, PageIndex index) {
        const std::byte* bytes = map_->address_of(region, index);
        std::optional<std::uint64_t> found;
        touch("read fault", [&] {
            static_cast<void>(*static_cast<const volatile std::byte*>(bytes));
            found = version_of(std::span<const std::byte, page_size>(bytes, page_size), index);
        });
        expect(index, found, "mapped");
    }
    void write_mapped(AnyRegion* region, PageIndex index, std::uint64_t version) {
        std::byte* bytes = map_->address_of(region, index);
        touch("write fault", [&] {
            volatile std::byte* first = bytes;
            *first = *first;
            fill_contents({bytes, page_size}, index, version);
        });
        version_[index] = version;
    }
    void write_private(AnyRegion* region, PageIndex index, std::uint64_t version) {
        std::byte* bytes = map_->address_of(region, index);
        touch("private write fault", [&] {
            volatile std::byte* first = bytes;
            *first = *first;
            fill_contents({bytes, page_size}, index, version);
        });
    }
    void check_private(AnyRegion* region, PageIndex index, std::uint64_t version) {
        std::byte* bytes = map_->address_of(region, index);
        std::optional<std::uint64_t> found;
        touch("private read fault", [&] {
            static_cast<void>(*static_cast<const volatile std::byte*>(bytes));
            found = version_of(std::span<const std::byte, page_size>(bytes, page_size), index);
        });
        if (found != version) {
            broken("a private copy of page " + std::to_string(index) + " changed");
        }
    }

    AnyRegion* map(RegionOptions options) {
        return *attempt_here("add_region", maps, [&] { return map_->add_region(options); });
    }
    void unmap(AnyRegion* region) {
        attempt_here("remove_region", {{ErrorCode::no_memory, ErrorCode::system}}, [&] { return map_->remove_region(region); });
    }
    void protect(AnyRegion* region, Access protection) {
        attempt_here("protect_region", {{ErrorCode::no_memory, ErrorCode::system}},
                     [&] { return map_->protect_region(region, protection); });
    }

    /// A removal or a write-back: a store's error comes with the outcome, and the pages stay dirty.
    template <class Operation>
    RemovalOutcome take_away(const char* name, Operation&& operation) {
        return *attempt_here(name, revokes, [&]() -> Result<RemovalOutcome> {
            Result<RemovalOutcome> outcome = operation();
            if (outcome && outcome->write_error) {
                return tl::unexpected(*outcome->write_error);
            }
            return outcome;
        });
    }

    /// Nobody but the faulting thread could say that a slot's count is full: the fault is served all the same.
    void fault_where_no_reference_is_left(PageIndex index) {
        std::vector<AnyCounted> all{load(index)};
        for (AnyCounted more = map_->find(index); more; more = map_->find(index)) {
            all.push_back(more);
        }
        const auto put_all = [&] {
            for (const AnyCounted page : all) {
                map_->put(page);
            }
        };
        try {
            read_mapped(shared_, index);
            write_mapped(shared_, index, 43);
        } catch (const OutOfFrames&) {
            put_all();
            throw;
        }
        put_all();
    }

    void make();
    void bring_in();
    void use_mapped();
    void take_away_mapped();
    void truncate();
    void end();

    const VariantEntry& variant_;
    Store& store_;
    std::unique_ptr<AnyPageMap> map_;
    std::shared_ptr<void> thread_;
    std::array<std::uint64_t, object_pages> version_{};
    AnyRegion* shared_ = nullptr;
    AnyRegion* copied_ = nullptr;
    AnyRegion* pinned_ = nullptr;
};

void PageMapRun::make() {
    attempt_throwing("make a page map", [this] {
        map_ = variant_.make({.size_pages = object_pages,
                              .frame_count = frame_count,
                              .store = &store_,
                              .reclaim = [this] {
                                  const auto outcome = map_->remove_contig({0, object_pages});
                                  return outcome && outcome->removed != 0;
                              }});
    }, Throws::bad_alloc_or_runtime_error);
    attempt_throwing("register a thread", [this] { thread_ = map_->register_thread(); });
}

void PageMapRun::bring_in() {
    for (PageIndex index = 0; index < 6; ++index) {
        map_->put(load(index));
    }
    write(1, 11);
    write(5, 15);
    const AnyCounted inserted = *attempt_here("insert", {{ErrorCode::no_memory}}, [&] { return map_->insert(8); });
    fill_contents(map_->bytes(inserted), 8, 18);
    version_[8] = 18;
    map_->mark_dirty(inserted);
    map_->put(inserted);
}

void PageMapRun::use_mapped() {
    shared_ = map({.pages = {0, 16}});
    copied_ = map({.pages = {4, 8}, .sharing = Sharing::copy_on_write});
    pinned_ = map({.pages = {14, 6}, .locked = true});
    read_mapped(shared_, 1);
    write_mapped(shared_, 1, 21);
    write_mapped(shared_, 10, 30);
    read_mapped(shared_, 3);
    read_mapped(shared_, 9);
    read_mapped(copied_, 8);
    write_private(copied_, 6, 106);
    write_private(copied_, 11, 111);
    write_mapped(pinned_, 15, 35);
    fault_where_no_reference_is_left(13);
    protect(shared_, Access::read);
    read_mapped(shared_, 10);
    protect(shared_, Access::write);
    write_mapped(shared_, 12, 42);
}

void PageMapRun::take_away_mapped() {
    take_away("writeback", [&] { return map_->writeback({0, object_pages}); });
    for (const PageIndex index : {1, 5, 8, 10, 12, 15}) {
        std::array<std::byte, page_size> bytes;
        attempt_here("read the store", {{ErrorCode::io}, Throws::bad_alloc}, [&] { return store_.read_pages({index, 1}, bytes); });
        expect(index, version_of(bytes, index), "written back");
    }
    write_mapped(shared_, 3, 53);
    write_mapped(pinned_, 16, 56);
    {
        const Held held(*this, 7);
        take_away("remove_contig", [&] { return map_->remove_contig({0, object_pages}); });
    }
    read_mapped(shared_, 3);
    write_mapped(shared_, 7, 67);
    check_private(copied_, 6, 106);
    take_away("remove_contig", [&] { return map_->remove_contig({2, 9}); });
    check_private(copied_, 11, 111);
    map_->set_region_locked(pinned_, false);
    take_away("remove_contig", [&] { return map_->remove_contig({10, 12}); });
    map_->set_region_locked(pinned_, true);
    for (PageIndex index = 0; index < object_pages; ++index) {  // more than there are frames
        map_->put(load(index));
    }
    write(18, 78);
    take_away("free_unused", [&] { return map_->free_unused(); });
}

/// Pages 22 and 23: one that is held is zeroed, the other is dropped with what was written to it.
void PageMapRun::truncate() {
    write(22, 82);
    write(23, 83);
    take_away("writeback", [&] { return map_->writeback({22, 2}); });
    const Held held(*this, 22);
    write(23, 93);
    take_away("remove_or_zero", [&] { return map_->remove_or_zero({22, 2}); });
    for (const std::byte byte : map_->bytes(held.page)) {
        if (byte != std::byte{0}) {
            broken("a page in use was not zeroed");
        }
    }
    fill_contents(map_->bytes(held.page), 22, 92);
    version_[22] = 92;
    map_->mark_dirty(held.page);
    version_[23] = 83;  // the store was not shortened: its bytes are there again
    map_->put(load(23));
}

void PageMapRun::end() {
    for (AnyRegion* region : {copied_, pinned_, shared_}) {
        if (region != nullptr) {
            unmap(region);
        }
    }
    attempt_here("destroy", revokes, [&] { return map_->destroy(); });
    attempt("sync", {{ErrorCode::io}, Throws::bad_alloc}, [&] { return store_.sync(); });
    if (map_->frames_in_use() != 0 || map_->page_count() != 0) {
        broken("frames or pages are left after destroy");
    }
    std::uint64_t memory_pages = 0;
    attempt_throwing("ask how much memory is taken", [&] { memory_pages = map_->memory_pages(); }, Throws::bad_alloc_or_runtime_error);
    if (memory_pages > map_->frames_quarantined()) {
        broken("memory was left that is not in quarantine");
    }
    if (!injected() && map_->frames_quarantined() != 0) {
        broken("frames are in quarantine and nothing failed");
    }
    for (PageIndex index = 0; index < object_pages; ++index) {
        std::array<std::byte, page_size> bytes;
        attempt("read the store", {{ErrorCode::io}, Throws::bad_alloc}, [&] { return store_.read_pages({index, 1}, bytes); });
        expect(index, version_of(bytes, index), "in the store at the end");
    }
}

void PageMapRun::run() {
    make();
    try {
        bring_in();
        use_mapped();
        take_away_mapped();
        truncate();
    } catch (const OutOfFrames&) {
        // What can still be done is to write back and to end.
    }
    end();
    thread_.reset();
    const Armed armed("take the page map down");
    map_.reset();
}

/// The run, and that it leaves neither a file nor a mapping open. munmap that fails leaves one, as documented.
void run_over(const VariantEntry& variant, Store& store) {
    const int files = open_files();
    const int mappings = object_mappings();
    PageMapRun(variant, store).run();
    if (open_files() != files) {
        broken("a file descriptor was left open");
    }
    if (object_mappings() != mappings && !injected_into("munmap")) {
        broken("a mapping of the object was left");
    }
}

}  // namespace

void page_map_over_a_file(const VariantEntry& variant) {
    const TemporaryFolder folder;
    std::optional<FileStore> store;
    attempt("make a file store", {{ErrorCode::system, ErrorCode::denied, ErrorCode::usage, ErrorCode::io}, Throws::bad_alloc},
            [&]() -> Status {
                Result<FileStore> made = FileStore::create(folder.file("object"), object_pages);
                if (!made) {
                    return tl::unexpected(made.error());
                }
                store.emplace(std::move(*made));
                return {};
            });
    std::vector<std::byte> contents(object_pages * page_size);
    std::vector<const std::byte*> pages;
    std::vector<std::byte*> places;
    for (PageIndex index = 0; index < object_pages; ++index) {
        std::byte* page = contents.data() + index * page_size;
        fill_contents({page, page_size}, index, 0);
        pages.push_back(page);
        places.push_back(page);
    }
    attempt("write gathered", {{ErrorCode::io}, Throws::bad_alloc}, [&] { return store->write_gathered(0, pages); });
    std::fill(contents.begin(), contents.end(), std::byte{1});
    attempt("read scattered", {{ErrorCode::io}, Throws::bad_alloc}, [&] { return store->read_scattered(0, places); });
    for (PageIndex index = 0; index < object_pages; ++index) {
        if (find_mismatch({contents.data() + index * page_size, page_size}, index, 0)) {
            broken("the file does not hold what was written to it");
        }
    }
    attempt("open a file store", {{ErrorCode::system, ErrorCode::denied, ErrorCode::usage, ErrorCode::io}, Throws::bad_alloc},
            [&] { return FileStore::open(folder.file("object"), FileStore::Access::read_only); });
    run_over(variant, *store);
}

void page_map_over_memory(const VariantEntry& variant) {
    std::optional<MemoryStore> store;
    attempt_throwing("make a memory store",
                     [&] { store.emplace(object_pages, MemoryStore::Fresh::versioned); }, Throws::bad_alloc_or_runtime_error);
    run_over(variant, *store);
    const Armed armed("take a memory store down");
    store.reset();
}

}  // namespace page_map_lab::failures
