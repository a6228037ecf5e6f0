#include "tests/explorer/simulated_memory.hpp"

#include <algorithm>

#include "impl/core/check.hpp"

namespace page_map_lab::explorer {

namespace {

Simulation& simulation() { return Simulation::instance(); }

std::string page_name(PageIndex index) { return "page " + std::to_string(index); }

std::string core_name() {
    return simulation().core() == no_core ? "the check" : "core " + std::to_string(simulation().core());
}

/// Where the kernel-side mapping and the regions would lie. Nothing is there.
constexpr std::uintptr_t kernel_side = 0x5000'0000'0000;
constexpr std::uintptr_t regions_from = 0x6000'0000'0000;

PageIndex page_at(const std::byte* kernel_side_address) {
    return (reinterpret_cast<std::uintptr_t>(kernel_side_address) - kernel_side) / page_size;
}

}  // namespace

// --- The object's bytes ------------------------------------------------------------------------------------------------

SimulatedMemory::SimulatedMemory(std::uint64_t size_pages) : size_pages_(size_pages) {}

std::span<std::byte> SimulatedMemory::bytes(PageRange pages) const noexcept {
    return {reinterpret_cast<std::byte*>(kernel_side + pages.first * page_size), pages.count * page_size};
}

/// The page's memory goes: whatever it holds is gone unless the store has it.
void SimulatedMemory::drop(PageIndex index, PageState& page) {
    if (page.in_transfer) {
        simulation().violation(page_name(index) + " is freed while the store transfers it");
    }
    if (page.resident && page.value != page.stored) {
        if (!page.truncating) {
            simulation().violation("a write is lost: " + page_name(index) + " is freed with the value " +
                                   std::to_string(page.value) + ", and the store holds " + std::to_string(page.stored));
        }
        page.newest = page.stored;
    }
    page.resident = false;
    ++page.life;
}

void SimulatedMemory::fill(PageIndex index, std::byte value, const Where& where) {
    PageState& page = pages_[index];
    simulation().arrive(&page, where);
    simulation().record("fill", {{&page, true}}, where);
    if (value != std::byte{0}) {
        drop(index, page);  // poison: nobody may read it any more
        return;
    }
    if (!page.resident) {
        simulation().violation(page_name(index) + " is zeroed and holds no memory");
    }
    page.value = 0;
    page.newest = 0;
}

Status SimulatedMemory::give_back(PageRange pages, const Where& where) {
    for (PageIndex index = pages.first; index != pages.end(); ++index) {
        PageState& page = pages_[index];
        simulation().arrive(&page, where);
        simulation().record("punch", {{&page, true}}, where);
        if (!debug_checks) {
            drop(index, page);
        } else if (page.resident || page.in_transfer) {
            simulation().violation("a late punch takes the new bytes of " + page_name(index));
        }
        ++page.life;
    }
    return {};
}

Result<std::byte*> SimulatedMemory::map(PageRange pages, Sharing sharing) {
    return Hardware::instance().add_mapping(*this, pages, sharing);
}

Status SimulatedMemory::unmap(std::byte* base, std::uint64_t, const Where& where) {
    Hardware::instance().remove_mapping(base, where);
    return {};
}

Status SimulatedMemory::copy_now(std::byte* page, const Where& where) { return Hardware::instance().copy_now(page, where); }

std::uint64_t SimulatedMemory::read(PageIndex index, const Where& where) {
    PageState& page = pages_[index];
    simulation().arrive(&page, where);
    simulation().record("read by reference", {{&page, false}}, where);
    if (!page.resident) {
        simulation().violation(core_name() + " holds a reference to " + page_name(index) + ", whose bytes are gone");
    }
    return page.value;
}

PageState SimulatedMemory::look_at(PageIndex index, const Where& where) {
    PageState& page = pages_[index];
    simulation().record("looked at", {{&page, false}, {&page.in_store, false}}, where);
    return page;
}

void SimulatedMemory::write(PageIndex index, std::uint64_t value, const Where& where) {
    PageState& page = pages_[index];
    simulation().arrive(&page, where);
    simulation().record("write by reference", {{&page, true}}, where);
    page.resident = true;  // also what an inserter fills
    page.value = value;
    page.newest = value;
}

// --- The store ---------------------------------------------------------------------------------------------------------

Status SimulatedStore::read_pages(PageRange range, std::span<std::byte> bytes) {
    const Where where = Where::current();
    check(page_at(bytes.data()) == range.first, "a page is read to its own place");
    for (PageIndex index = range.first; index != range.end(); ++index) {
        PageState& page = memory_.page(index);
        simulation().arrive(&page.in_store, where);
        simulation().record("store read begins", {{&page.in_store, false}, {&page, true}}, where);
        if (page.in_transfer) {
            simulation().violation(page_name(index) + " is read from the store while the store transfers it");
        }
        if (page.resident) {
            simulation().violation(page_name(index) + " is read over the value " + std::to_string(page.value) +
                                   " that it holds");
        }
        if (page.stored != page.newest && !page.truncating) {
            simulation().violation("a write is lost: " + page_name(index) + " is read as " + std::to_string(page.stored) +
                                   ", and " + std::to_string(page.newest) + " was written last");
        }
        page.in_transfer = true;
        const std::uint64_t seen = page.stored;
        simulation().arrive(&page, where);
        simulation().record("store read ends", {{&page, true}}, where);
        page.in_transfer = false;
        if (failing_reads_.erase(index) != 0) {
            return fail(ErrorCode::io, "this read fails");
        }
        if (page.resident) {
            simulation().violation(page_name(index) + " was written to while it was read from the store");
        }
        page.value = seen;
        page.resident = true;
        ++page.reads;
    }
    return {};
}

Status SimulatedStore::write_pages(PageRange range, std::span<const std::byte> bytes) {
    const Where where = Where::current();
    check(page_at(bytes.data()) == range.first, "a page is written from its own place");
    for (PageIndex index = range.first; index != range.end(); ++index) {
        PageState& page = memory_.page(index);
        simulation().arrive(&page, where);
        simulation().record("store write begins", {{&page, true}}, where);
        if (page.in_transfer) {
            simulation().violation(page_name(index) + " is written out while the store transfers it");
        }
        if (!page.resident) {
            simulation().violation(page_name(index) + " is written out and was freed");
        }
        page.in_transfer = true;
        const std::uint64_t seen = page.value;
        simulation().arrive(&page.in_store, where);
        simulation().record("store write ends", {{&page.in_store, true}, {&page, true}}, where);
        page.in_transfer = false;
        if (failing_writes_.erase(index) != 0) {
            return fail(ErrorCode::io, "this write fails");
        }
        page.stored = seen;
    }
    return {};
}

void SimulatedStore::shorten(PageRange range, const Where& where) {
    for (PageIndex index = range.first; index != range.end(); ++index) {
        PageState& page = memory_.page(index);
        simulation().arrive(&page.in_store, where);
        simulation().record("the store is shortened", {{&page.in_store, true}, {&page, true}}, where);
        page.stored = 0;
        page.newest = 0;
        page.truncating = true;
    }
}

// --- Page tables and TLBs ----------------------------------------------------------------------------------------------

Hardware& Hardware::instance() {
    static Hardware hardware;
    return hardware;
}

void Hardware::begin() {
    mappings_.clear();
    next_base_ = regions_from;
    domains_.clear();
    sleeps_on_.fill(nullptr);
    refused_ = 0;
}

Hardware::Mapping* Hardware::mapping_of(const std::byte* address) noexcept {
    for (const auto& mapping : mappings_) {
        if (address >= mapping->base && address < mapping->base + mapping->pages.count * page_size) {
            return mapping.get();
        }
    }
    return nullptr;
}

std::byte* Hardware::add_mapping(SimulatedMemory& memory, PageRange pages, Sharing sharing) {
    auto* const base = reinterpret_cast<std::byte*>(next_base_);
    next_base_ += (pages.count + 1) * page_size;
    mappings_.push_back(std::make_unique<Mapping>(Mapping{base, &memory, pages, sharing, {}}));
    mappings_.back()->translations.resize(pages.count);
    return base;
}

/// Every core but this one forgets its translations when it takes the interrupt, one after the other.
void Hardware::flush(Mapping& mapping, std::size_t first, std::size_t count, const Where& where) {
    for (unsigned core = 0; core <= max_cores; ++core) {
        for (std::size_t page = first; page < first + count; ++page) {
            Translation::Cached& cached = mapping.translations[page].tlb[core];
            if (cached.rights != Access::none) {
                if (core != simulation().core()) {
                    simulation().arrive(&cached, where);
                    simulation().record("TLB flush", {{&cached, true}}, where);
                }
                cached = {};
            } else if (core != simulation().core() && core != no_core) {
                simulation().record("no TLB flush", {{&cached, false}}, where);
            }
        }
    }
}

Status Hardware::set_access(std::byte* base, std::size_t bytes, Access access, const Where& where) {
    Mapping* const mapping = mapping_of(base);
    if (mapping == nullptr) {
        simulation().violation("the rights of an address are changed where nothing is mapped");
    }
    const std::size_t first = mapping->offset(base);
    const std::size_t count = bytes / page_size;
    simulation().arrive(&mapping->translations[first], where);
    std::vector<Touch> touches{{&mappings_, false}};
    bool takes = false;
    for (std::size_t page = first; page < first + count; ++page) {
        Translation& translation = mapping->translations[page];
        touches.push_back({&translation, true});
        takes = takes || access < translation.rights;
    }
    if (takes) {
        touches.push_back({&refused_, refused_ > 0});
    }
    if (takes && refused_ > 0) {
        --refused_;
        simulation().record("set access, refused", touches, where);
        return fail(ErrorCode::no_memory, "this revocation fails");
    }
    for (std::size_t page = first; page < first + count; ++page) {
        mapping->translations[page].rights = access;
    }
    simulation().record(access == Access::none ? "set access: none" : access == Access::read ? "set access: read"
                                                                                              : "set access: write",
                        touches, where);
    if (takes) {
        flush(*mapping, first, count, where);
    }
    return {};
}

void Hardware::remove_mapping(std::byte* base, const Where& where) {
    Mapping* const mapping = mapping_of(base);
    static_cast<void>(set_access(base, mapping->pages.count * page_size, Access::none, where));
    std::erase_if(mappings_, [&](const auto& held) { return held.get() == mapping; });
    simulation().record("unmap", {{&mappings_, true}}, where);
}

bool Hardware::readable(const std::byte* address) noexcept {
    Mapping* const mapping = mapping_of(address);
    if (mapping == nullptr) {
        return false;
    }
    const Translation& translation = mapping->at(address);
    return translation.rights != Access::none ||
           std::ranges::any_of(translation.tlb, [](const auto& cached) { return cached.rights != Access::none; });
}

/// The kernel copies a private page when it is written to; the other cores forget the original.
void Hardware::copy_for_writing(Mapping& mapping, std::byte* address, Translation& translation) {
    const PageIndex index = mapping.index_of(address);
    const PageState& page = mapping.memory->page(index);
    if (!page.resident) {
        simulation().violation("a private copy is made of " + page_name(index) + ", whose bytes are gone");
    }
    translation.private_copy = true;
    translation.private_value = page.value;
    for (Translation::Cached& cached : translation.tlb) {
        cached = {};
    }
}

Status Hardware::copy_now(std::byte* address, const Where& where) {
    Mapping* const mapping = mapping_of(address);
    Translation& translation = mapping->at(address);
    simulation().arrive(&translation, where);
    simulation().record("copy now", {{&mappings_, false}, {&translation, true}, {&mapping->memory->page(mapping->index_of(address)), false}}, where);
    if (translation.rights != Access::write) {
        return fail(ErrorCode::try_again);
    }
    if (!translation.private_copy) {
        copy_for_writing(*mapping, address, translation);
    }
    return {};
}

Result<std::uint64_t> Hardware::read(std::byte* address, const Where& where) {
    std::uint64_t value = 0;
    if (Status done = access(address, Access::read, value, where); !done) {
        return tl::unexpected(done.error());
    }
    return value;
}

Status Hardware::write(std::byte* address, std::uint64_t value, const Where& where) {
    return access(address, Access::write, value, where);
}

Status Hardware::access(std::byte* address, Access wanted, std::uint64_t& value, const Where& where) {
    const bool writes = wanted == Access::write;
    for (;;) {
        simulation().arrive(address, where);
        Mapping* const mapping = mapping_of(address);
        if (mapping == nullptr) {
            simulation().record("nothing is mapped", {{&mappings_, false}}, where);
            return fail(ErrorCode::no_region);
        }
        Translation& translation = mapping->at(address);
        Translation::Cached& cached = translation.tlb[simulation().core()];
        PageState& page = mapping->memory->page(mapping->index_of(address));
        if (cached.rights < wanted) {
            if (translation.rights < wanted) {
                simulation().record(writes ? "write faults" : "read faults", {{&mappings_, false}, {&translation, false}, {&cached, true}}, where);
                if (Status served = fault(address, wanted); !served) {
                    return served;
                }
                continue;
            }
            cached = {translation.rights, page.life, translation.private_copy};
        }
        const bool copying = mapping->sharing == Sharing::copy_on_write;
        simulation().record(writes ? "write" : "read",
                            {{&mappings_, false}, {&translation, copying && writes}, {&cached, true}, {&page, writes && !copying}},
                            where);
        if (copying && (writes || cached.private_copy)) {
            if (!translation.private_copy) {
                copy_for_writing(*mapping, address, translation);
                cached = {translation.rights, page.life, true};
            }
            (writes ? translation.private_value : value) = writes ? value : translation.private_value;
            return {};
        }
        if (!page.resident || cached.life != page.life) {
            simulation().violation(core_name() + (writes ? " writes to " : " reads ") +
                                   page_name(mapping->index_of(address)) +
                                   " through a translation that is stale: its memory was freed");
        }
        if (writes) {
            page.value = value;
            page.newest = value;
        } else {
            value = page.value;
        }
        return {};
    }
}

Status Hardware::fault(std::byte* address, Access wanted) {
    for (FaultDomain* domain : domains_) {
        ErrorCode why = ErrorCode::system;
        switch (domain->serve(address, wanted, why)) {
            case FaultOutcome::served:
                return {};
            case FaultOutcome::failed:
                return fail(why);
            case FaultOutcome::not_ours:
                break;
        }
    }
    return fail(ErrorCode::no_region);
}

// --- Waiting -----------------------------------------------------------------------------------------------------------

void Hardware::sleep_on(const void* word, const Where& where) {
    const unsigned core = simulation().core();
    sleeps_on_[core] = word;
    simulation().record("sleeps", {{&sleeps_on_[core], true}}, where);
    const auto woken = [&] { return sleeps_on_[core] == nullptr; };
    simulation().wait_until("its wake-up", woken, where);
    simulation().record("is awake", {{&sleeps_on_[core], false}}, where);
}

void Hardware::wake_all(const void* word, const Where& where) {
    simulation().arrive(&sleeps_on_, where);
    std::vector<Touch> touches;
    for (const void*& asleep : sleeps_on_) {
        touches.push_back({&asleep, asleep == word});
        if (asleep == word) {
            asleep = nullptr;
        }
    }
    simulation().record("wakes all", touches, where);
}

}  // namespace page_map_lab::explorer
