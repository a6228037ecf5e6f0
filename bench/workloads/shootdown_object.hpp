// Regions without a page map behind them, for asking shootdowns alone what they cost: one in this process, or one in each
// of some worker processes, all of the same memory.
//
// `revocable` pages lie at the front, one every `stride` pages; then one page for each victim. Every page holds the
// contents of version 0 in its upper half; the lower half is the victims', one word each.
//
// Thread safety: victims touch their words; the rest is the initiator's.
// Invariant: whatever is revoked, the bytes stay: the victims' counts are exact, and the upper halves do not change.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bench/harness/digest.hpp"
#include "bench/harness/environment.hpp"
#include "bench/workloads/access_probe.hpp"
#include "bench/workloads/worker_team.hpp"
#include "bench/workloads/worker_victim.hpp"
#include "impl/page_map/address_space.hpp"
#include "impl/store/page_contents.hpp"

namespace page_map_lab::bench {

template <class Machine>
class ShootdownObject final : private FaultServer<Machine> {
public:
    static constexpr std::uint64_t most_victims = page_size / 2 / sizeof(std::uint64_t);

    /// Maps and opens everything. Throws std::runtime_error where the system has no room.
    ShootdownObject(std::uint64_t revocable, std::uint64_t stride, std::uint64_t victims, unsigned processes,
                    Environment& environment)
        : environment_(environment),
          revocable_(revocable),
          stride_(stride),
          memory_(revocable * stride + victims),
          workers_(processes) {
        const auto bytes = memory_.bytes({0, memory_.size_pages()});
        environment.place(bytes.data(), bytes.size());
        for (PageIndex page = 0; page < memory_.size_pages(); ++page) {
            fill_contents(memory_.bytes({page, 1}).subspan(page_size / 2), page, 0, page_size / 2);
        }
        if (processes == 0) {
            map_into(AddressSpace<Machine>::this_process());
        }
        for (unsigned worker = 0; worker < processes; ++worker) {
            map_into(workers_.space(worker));
        }
        if (Status opened = reopen(); !opened) {
            throw std::runtime_error(opened.error().text());
        }
        for (PageIndex page = 0; page < memory_.size_pages() && processes == 0; ++page) {
            touch(region().address_of(page));
        }
        for (unsigned worker = 0; worker < processes; ++worker) {
            workers_.worker(worker).template blackboard<Extent>() = {
                reinterpret_cast<std::uint64_t>(regions_[worker]->base()), memory_.size_pages()};
        }
        if (Status used = workers_.run_everywhere(touch_everything); !used) {
            throw std::runtime_error(used.error().text());
        }
    }
    ~ShootdownObject() {
        environment_.forget(memory_.bytes({0, 1}).data());
        for (const auto& mapped : regions_) {
            mapped->space().detach(*mapped);
            while (mapped->pinned()) {
                Machine::yield();  // a fault in flight
            }
            static_cast<void>(mapped->space().unmap(mapped->base(), memory_.size_pages()));
        }
    }
    ShootdownObject(const ShootdownObject&) = delete;
    ShootdownObject& operator=(const ShootdownObject&) = delete;

    const std::vector<std::unique_ptr<Region<Machine>>>& regions() const { return regions_; }
    /// The only one, or the first worker's.
    Region<Machine>& region() const { return *regions_.front(); }
    unsigned processes() const { return workers_.size(); }
    Worker& worker(unsigned number) { return workers_.worker(number); }
    std::uint64_t faults_answered() const { return workers_.faults_answered(); }
    std::uint64_t revocable() const { return revocable_; }
    PageIndex revocable_page(std::uint64_t place) const { return place * stride_; }
    /// From the first revocable page to the last, with those in between.
    PageRange hull() const { return {0, (revocable_ - 1) * stride_ + 1}; }

    /// The victim's word in a page of its own, which is not to be revoked.
    volatile std::uint64_t* outside_word(unsigned victim) const { return word(revocable_ * stride_ + victim, victim); }
    /// The victim's word in a page that is revoked again and again.
    volatile std::uint64_t* inside_word(unsigned victim, std::uint64_t step) const {
        return word(revocable_page(step % revocable_), victim);
    }

    /// The victim's words in its worker: those inside, or the one outside.
    WorkerWords words_in_worker(unsigned victim, bool inside) const {
        const PageIndex page = inside ? 0 : revocable_ * stride_ + victim;
        const auto address =
            reinterpret_cast<std::uint64_t>(regions_[victim]->address_of(page)) + victim * sizeof(std::uint64_t);
        return {address, inside ? revocable_ : 1, stride_};
    }

    /// The same word where it can be read at any time.
    const volatile std::uint64_t* watched_word(unsigned victim) const {
        const auto bytes = memory_.bytes({revocable_ * stride_ + victim, 1});
        return reinterpret_cast<const volatile std::uint64_t*>(bytes.data()) + victim;
    }

    /// Opens everything again; flushes nothing.
    Status reopen() {
        Status outcome;
        for (const auto& mapped : regions_) {
            Status opened = mapped->space().grant(mapped->base(), mapped->size_bytes(), Access::write);
            outcome = outcome ? std::move(opened) : std::move(outcome);
        }
        return outcome;
    }

    /// Has the calling thread's processor use what is to be revoked. A worker's pages stay in its page tables from one
    /// revocation to the next, and its victim uses what it uses.
    void use_revocable() const {
        for (std::uint64_t place = 0; place < revocable_ && workers_.size() == 0; ++place) {
            touch(region().address_of(revocable_page(place)));
        }
    }

    /// A revocable page that can still be read, or nothing: to be asked after a revocation, while no victim runs.
    std::optional<PageIndex> find_open() const {
        constexpr std::uint64_t probes = 64;
        return find_spread(revocable_, probes, [&](std::uint64_t place) {
            return std::any_of(regions_.begin(), regions_.end(), [&](const auto& mapped) {
                return is_readable(mapped->address_of(revocable_page(place)), mapped->space().process());
            });
        });
    }

    /// The increments of one victim, wherever it made them; they start from zero again.
    std::uint64_t take_count(unsigned victim) {
        std::uint64_t sum = 0;
        for (PageIndex page = 0; page < memory_.size_pages(); ++page) {
            auto* const counted = reinterpret_cast<std::uint64_t*>(memory_.bytes({page, 1}).data()) + victim;
            sum += std::exchange(*counted, 0);
        }
        return sum;
    }

    /// A page whose constant half changed, or nothing.
    std::optional<PageIndex> find_damaged(Digest& digest) const {
        for (PageIndex page = 0; page < memory_.size_pages(); ++page) {
            if (find_mismatch(memory_.bytes({page, 1}).subspan(page_size / 2), page, 0, page_size / 2)) {
                return page;
            }
            digest.add(page);
        }
        return std::nullopt;
    }

private:
    struct Extent {
        std::uint64_t address = 0;
        std::uint64_t pages = 0;
    };
    static void touch_everything(WorkerSide& side) {
        const auto& extent = side.blackboard<Extent>();
        for (PageIndex page = 0; page < extent.pages; ++page) {
            touch(reinterpret_cast<const std::byte*>(extent.address) + page * page_size);
        }
    }

    void map_into(AddressSpace<Machine>& space) {
        const PageRange pages{0, memory_.size_pages()};
        Result<std::byte*> base = space.map(memory_, pages, Sharing::shared);
        if (!base) {
            throw std::runtime_error(base.error().text());
        }
        FaultServer<Machine>& server = *this;
        regions_.push_back(std::make_unique<Region<Machine>>(space, server, RegionOptions{.pages = pages}, *base));
        space.attach(*regions_.back());
    }
    volatile std::uint64_t* word(PageIndex page, unsigned victim) const {
        return reinterpret_cast<volatile std::uint64_t*>(region().address_of(page)) + victim;
    }

    /// A victim touched what is closed: opened again, as a page map does for a page that is still there.
    Status serve_fault(Region<Machine>& mapped, PageIndex index, Access wanted) noexcept override {
        const LockGuard guard(mapped.space().page_table_lock());
        return mapped.space().grant(mapped.address_of(index), page_size, wanted);
    }

    Environment& environment_;
    const std::uint64_t revocable_;
    const std::uint64_t stride_;
    ObjectMemory memory_;
    WorkerTeam<Machine> workers_;  // outlives the regions in its spaces
    std::vector<std::unique_ptr<Region<Machine>>> regions_;
};

}  // namespace page_map_lab::bench
