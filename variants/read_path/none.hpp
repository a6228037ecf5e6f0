// No protection at all: the floor that shows what a read path costs.
//
// Thread safety: any number of readers beside a writer that inserts. NOT safe while anything is removed: a grace period
// that ends at once lets nodes go while a walk is on them. Progress: wait-free. Cost: nothing.
#pragma once

#include <string_view>

#include "impl/page_map/map_lock.hpp"
#include "variants/read_path/link.hpp"
#include "variants/read_path/without_grace_periods.hpp"

namespace page_map_lab {

template <class MachineType>
struct UnprotectedReads : WithoutGracePeriods {
    using Machine = MachineType;
    static constexpr bool lock_free_readers = true;

    template <class T>
    using Link = PublishedLink<Machine, T>;

    class [[nodiscard]] Section {
    public:
        explicit Section(MapLock<Machine>&) noexcept {}
        // User-provided, so that a section that is only held is no unused variable.
        ~Section() {}
        Section(const Section&) = delete;
        Section& operator=(const Section&) = delete;
    };
};

struct Unprotected {
    static constexpr std::string_view name = "none";
    template <class Machine>
    using On = UnprotectedReads<Machine>;
};

}  // namespace page_map_lab
