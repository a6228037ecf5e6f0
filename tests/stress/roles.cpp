#include "tests/stress/roles.hpp"

#include <algorithm>
#include <array>
#include <thread>

namespace page_map_lab::stress {

std::string_view StressThread::name_of(Role role) {
    constexpr std::array<std::string_view, 7> names{"reader", "writer", "faulter", "mapper", "evictor", "keeper", "parent"};
    return names[static_cast<std::size_t>(role)];
}

void StressThread::step() {
    object_ = &objects_[below(objects_.size())];
    object_->map().quiescent();
    switch (role_) {
        case Role::reader: read(); break;
        case Role::writer: write(); break;
        case Role::faulter: fault(); break;
        case Role::mapper: map_and_unmap(); break;
        case Role::evictor: evict(); break;
        case Role::keeper: keep(); break;
        case Role::parent: expect(worker_.step(random_, outcome_), "worker process"); break;
    }
    if (below(16) == 0) {
        std::this_thread::yield();
    }
}

void StressThread::finish() { expect(worker_.finish(outcome_), "worker process"); }

void StressThread::read() {
    AnyPageMap& map = object_->map();
    const PageIndex page = below(object_->pages());
    AnyCounted counted;
    const std::uint64_t choice = below(16);
    if (choice < 6) {
        trace_.begin("find", object_->number(), page);
        counted = map.find(page);
    } else if (choice < 15) {
        trace_.begin(choice < 9 ? "load_nowait" : "load", object_->number(), page);
        const Result<AnyCounted> loaded = choice < 9 ? map.load_nowait(page) : map.load(page);
        if (!loaded && loaded.error().code != ErrorCode::try_again) {
            expect(tl::unexpected(loaded.error()), "load");
        }
        counted = loaded ? *loaded : AnyCounted{};
    } else {
        trace_.begin("insert", object_->number(), page);
        const Result<AnyCounted> inserted = map.insert(page);
        if (!inserted && inserted.error().code != ErrorCode::already_present &&
            inserted.error().code != ErrorCode::busy && inserted.error().code != ErrorCode::no_frame) {
            expect(tl::unexpected(inserted.error()), "insert");
        }
        counted = inserted ? *inserted : AnyCounted{};
    }
    if (!counted) {
        return;
    }
    if ((map.flags(counted) & page_flag::up_to_date) != 0) {
        look(page, map.bytes(counted).data());
    }
    map.put(counted);
}

void StressThread::write() {
    AnyPageMap& map = object_->map();
    const PageIndex page = below(object_->pages());
    trace_.begin("load to write", object_->number(), page);
    const Result<AnyCounted> loaded = map.load(page);
    if (!loaded) {
        expect(tl::unexpected(loaded.error()), "load");
        return;
    }
    object_->stamps().write(page, writer_, map.bytes(*loaded).data());
    map.mark_dirty(*loaded);
    map.put(*loaded);
}

void StressThread::fault() {
    const PageIndex page = below(object_->pages());
    std::byte* bytes = object_->address(page, below(2));
    if (below(2) == 0) {
        trace_.begin("read through a mapping", object_->number(), page);
        look(page, bytes);
    } else {
        trace_.begin("write through a mapping", object_->number(), page);
        object_->stamps().write(page, writer_, bytes);
    }
}

void StressThread::map_and_unmap() {
    constexpr std::uint64_t longest = 12;
    RegionOptions options;
    options.pages.count = 1 + below(longest);
    options.pages.first = below(object_->pages() - options.pages.count);
    options.protection = below(4) == 0 ? Access::read : Access::write;
    options.sharing = below(3) == 0 ? Sharing::copy_on_write : Sharing::shared;
    options.locked = below(6) == 0;
    trace_.begin("map", object_->number(), options.pages.first);
    const Result<AnyRegion*> region = object_->map().add_region(options);
    if (!region) {
        expect(tl::unexpected(region.error()), "map");
        return;
    }
    if (options.sharing == Sharing::copy_on_write && options.protection == Access::write) {
        use_private(*region, options);
    } else {
        use_shared(*region, options);
    }
    trace_.begin("unmap", object_->number(), options.pages.first);
    expect(object_->map().remove_region(*region), "unmap");
}

void StressThread::use_shared(AnyRegion* region, const RegionOptions& options) {
    AnyPageMap& map = object_->map();
    for (PageIndex page = options.pages.first; page < options.pages.end(); ++page) {
        trace_.begin("use a passing region", object_->number(), page);
        std::byte* bytes = map.address_of(region, page);
        look(page, bytes);
        if (options.protection == Access::write && below(2) == 0) {
            object_->stamps().write(page, writer_, bytes);
        }
    }
    trace_.begin("protect or pin", object_->number(), options.pages.first);
    if (below(2) == 0) {
        expect(map.protect_region(region, Access::read), "protect");
        look(options.pages.first, map.address_of(region, options.pages.first));
    } else {
        map.set_region_locked(region, !options.locked);
    }
}

/// What is written into a private copy stays, whatever becomes of the page.
void StressThread::use_private(AnyRegion* region, const RegionOptions& options) {
    AnyPageMap& map = object_->map();
    const auto word_of = [&](PageIndex page) {
        return std::atomic_ref(
            *reinterpret_cast<std::uint64_t*>(map.address_of(region, page) + StampedPages::place_of(writer_)));
    };
    const std::uint64_t mine = random_();
    for (PageIndex page = options.pages.first; page < options.pages.end(); ++page) {
        trace_.begin("use a private region", object_->number(), page);
        look(page, map.address_of(region, page));
        word_of(page).store(mine + page, std::memory_order_relaxed);  // relaxed: nobody else sees a private copy
    }
    evict();
    for (PageIndex page = options.pages.first; page < options.pages.end(); ++page) {
        trace_.begin("read a private copy", object_->number(), page);
        if (word_of(page).load(std::memory_order_relaxed) != mine + page) {  // relaxed: as above
            ++outcome_.stale;
            found_wrong("a private copy of page " + std::to_string(page) + " changed");
        }
    }
}

void StressThread::evict() {
    constexpr std::uint64_t longest = 32;
    const PageRange range{below(object_->pages()), 1 + below(longest)};
    trace_.begin("remove_contig", object_->number(), range.first);
    expect(object_->evict(range), "remove_contig");
}

void StressThread::keep() {
    AnyPageMap& map = object_->map();
    const PageRange range{below(object_->pages() - 8), 1 + below(8)};
    const std::uint64_t choice = below(8);
    if (choice == 0) {
        trace_.begin("truncate", object_->number(), range.first);
        expect(object_->truncate(range), "truncate");
        return;
    }
    trace_.begin(choice < 6 ? "writeback" : "free_unused", object_->number(), range.first);
    Result<RemovalOutcome> outcome = choice < 6 ? map.writeback(choice < 2 ? PageRange{0, object_->pages()} : range)
                                                : map.free_unused();
    if (!outcome && outcome.error().code != ErrorCode::busy) {
        expect(tl::unexpected(outcome.error()), "write-back");
    }
}

void StressThread::look(PageIndex page, const std::byte* bytes) {
    for (unsigned writer = 0; writer < StampedPages::most_writers; ++writer) {
        if (std::string wrong = object_->stamps().read(page, writer, bytes); !wrong.empty()) {
            ++outcome_.stale;
            found_wrong(std::move(wrong));
        }
    }
}

void StressThread::expect(const Status& status, const char* what) {
    if (!status) {
        found_wrong("object " + std::to_string(object_->number()) + ": " + what + ": " + status.error().text());
    }
}

void StressThread::found_wrong(std::string finding) {
    constexpr std::size_t most_findings = 4;
    if (outcome_.findings.size() < most_findings) {
        outcome_.findings.push_back(std::string(name_of(role_)) + ": " + std::move(finding));
    }
}

}  // namespace page_map_lab::stress
