#include "tests/stress/stressed_object.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <thread>

namespace page_map_lab::stress {
namespace {

// A removal that meets a shortened store keeps its pages; anything else that it could not do is a finding.
Status unless_shortened(Result<RemovalOutcome>&& outcome) {
    if (!outcome) {
        return tl::unexpected(std::move(outcome.error()));
    }
    if (outcome->write_error && outcome->write_error->code != ErrorCode::denied) {
        return tl::unexpected(std::move(*outcome->write_error));
    }
    if (outcome->punch_error) {
        return tl::unexpected(std::move(*outcome->punch_error));
    }
    return {};
}

SharedMemory shared_memory(std::size_t bytes) {
    Result<SharedMemory> memory = SharedMemory::make(bytes, "stamps");
    if (!memory) {
        throw std::runtime_error(memory.error().text());
    }
    return *std::move(memory);
}

void note(StressOutcome& outcome, std::uint64_t& count, std::string finding) {
    constexpr std::size_t most_findings = 8;
    ++count;
    if (outcome.findings.size() < most_findings) {
        outcome.findings.push_back(std::move(finding));
    }
}

}  // namespace

StressedObject::StressedObject(unsigned number, const ObjectShape& shape, const MakeMap& make)
    : number_(number),
      shape_(shape),
      store_(shape.pages),
      stamps_memory_(shared_memory(StampedPages::bytes_for(shape.pages))),
      stamps_(number, shape.pages, stamps_memory_.bytes().data()),
      map_(make({.size_pages = shape.pages,
                 .frame_count = shape.frames,
                 .store = &store_,
                 .keep_memory = shape.keep_memory,
                 .reclaim = [this] { return reclaim(); }})) {}

Status StressedObject::begin() {
    // The whole object, and a region that begins and ends inside it.
    mappings_[0].pages = {0, shape_.pages};
    mappings_[1].pages = {shape_.pages / 3, shape_.pages / 2};
    for (Mapping& mapping : mappings_) {
        Result<AnyRegion*> region = map_->add_region({.pages = mapping.pages});
        if (!region) {
            return tl::unexpected(std::move(region.error()));
        }
        mapping.region = *region;
    }
    return {};
}

std::byte* StressedObject::address(PageIndex page, std::uint64_t choice) {
    const Mapping& mapping = mappings_[choice % 2 == 1 && mappings_[1].pages.contains(page) ? 1 : 0];
    return map_->address_of(mapping.region, page);
}

bool StressedObject::reclaim() {
    constexpr std::uint64_t at_once = 32;
    const PageIndex from = hand_.fetch_add(at_once, std::memory_order_relaxed) % shape_.pages;  // relaxed: any place will do
    const std::uint64_t before = evicted();
    if (Status done = evict({from, at_once}); !done) {
        return false;
    }
    if (evicted() == before) {
        const auto offline = map_->offline_scope();
        std::this_thread::yield();  // another removal runs, or everybody holds a page
    }
    return true;
}

Status StressedObject::evict(PageRange range) {
    Result<RemovalOutcome> outcome = map_->remove_contig(range);
    if (outcome) {
        evicted_.fetch_add(outcome->removed, std::memory_order_relaxed);  // relaxed: a count
    }
    return unless_shortened(std::move(outcome));
}

Status StressedObject::truncate(PageRange range) {
    const std::lock_guard guard(truncating_);
    for (PageIndex page = range.first; page < range.end(); ++page) {
        stamps_.truncation_begins(page);
    }
    Status done = store_.cut(range);
    while (done) {
        Result<RemovalOutcome> outcome = map_->remove_or_zero(range);
        if (outcome || outcome.error().code != ErrorCode::busy) {
            done = unless_shortened(std::move(outcome));
            break;
        }
        const auto offline = map_->offline_scope();
        std::this_thread::yield();
    }
    store_.give_back();
    for (PageIndex page = range.first; page < range.end(); ++page) {
        stamps_.truncation_ends(page);
    }
    return done;
}

StressOutcome StressedObject::finish() {
    StressOutcome outcome;
    std::uint64_t errors = 0;
    const auto expect = [&](const Status& status, const char* what) {
        if (!status) {
            note(outcome, errors, "object " + std::to_string(number_) + ": " + what + ": " + status.error().text());
        }
        return status.has_value();
    };
    expect(unless_shortened(map_->writeback({0, shape_.pages})), "the last write-back");
    compare_memory(outcome);
    expect(map_->audit(), "the audit");
    for (const Mapping& mapping : mappings_) {
        expect(map_->remove_region(mapping.region), "unmapping");
    }
    const bool destroyed = expect(map_->destroy(), "destroying");
    outcome.leaked = map_->frames_in_use() + map_->frames_quarantined() + (shape_.keep_memory ? 0 : map_->memory_pages());
    compare_store(outcome);
    if (!destroyed) {
        static_cast<void>(map_.release());  // a map that holds pages ends the program, and with it the report
    }
    return outcome;
}

/// After a write-back each page in memory is as the store has it.
void StressedObject::compare_memory(StressOutcome& outcome) {
    for (PageIndex page = 0; page < shape_.pages; ++page) {
        const Result<AnyCounted> resident = map_->load_nowait(page);
        if (!resident) {
            continue;
        }
        std::array<std::byte, page_size> stored;
        const Status read = store_.read_pages({page, 1}, stored);
        if (!read || !std::ranges::equal(stored, map_->bytes(*resident))) {
            note(outcome, outcome.lost,
                 "object " + std::to_string(number_) + ", page " + std::to_string(page) + ": memory and store differ");
        }
        map_->put(*resident);
    }
}

/// After everything was written back the store holds what each writer wrote last.
void StressedObject::compare_store(StressOutcome& outcome) {
    for (PageIndex page = 0; page < shape_.pages; ++page) {
        alignas(std::uint64_t) std::array<std::byte, page_size> stored;
        if (const Status read = store_.read_pages({page, 1}, stored); !read) {
            note(outcome, outcome.lost, read.error().text());
            continue;
        }
        for (unsigned writer = 0; writer < StampedPages::most_writers; ++writer) {
            if (std::string wrong = stamps_.read(page, writer, stored.data()); !wrong.empty()) {
                note(outcome, outcome.lost, "in the store at the end: " + std::move(wrong));
            }
        }
    }
}

}  // namespace page_map_lab::stress
