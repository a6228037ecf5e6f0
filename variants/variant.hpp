// A variant: one policy per axis, and the name that is made of theirs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "impl/page_map/concepts.hpp"
#include "impl/page_map/machine.hpp"
#include "impl/page_map/shootdown.hpp"

namespace page_map_lab {

/// A page map reads as one sentence: PageMap<Variant<Radix, RcuQsbr, Batched, Mprotect>>.
template <class LayoutPolicy, class ReadPathPolicy, class ShootdownPolicy, class MechanismPolicy>
struct Variant {
    using LayoutTag = LayoutPolicy;
    using ReadPathTag = ReadPathPolicy;
    using ShootdownTag = ShootdownPolicy;
    using MechanismTag = MechanismPolicy;

    using Machine = MachineWith<MechanismPolicy>;
    using ReadPath = typename ReadPathPolicy::template On<Machine>;
    using Layout = typename LayoutPolicy::template With<ReadPath>;
    using Shootdown = typename ShootdownPolicy::template On<Machine>;

    static_assert(page_map_lab::Shootdown<Shootdown>, "a shootdown owes what impl/page_map/shootdown.hpp says");
    static_assert(Composable<LayoutPolicy, ReadPath>, "a layout whose entries move does not go with lock-free readers");
};

/// A string as a template argument.
template <std::size_t length>
struct FixedString {
    char characters[length]{};
    constexpr FixedString(const char (&text)[length]) { std::copy_n(text, length, characters); }  // NOLINT: a literal
    constexpr std::string_view view() const { return {characters, length - 1}; }
};

}  // namespace page_map_lab
