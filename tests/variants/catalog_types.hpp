// The catalog's policies as lists for the typed tests that go below the page map: a policy is tested because it is in the
// catalog.
#pragma once

#include <type_traits>

#include <gtest/gtest.h>

#include "impl/page_map/concepts.hpp"
#include "impl/page_map/machine.hpp"
#include "variants/catalog.hpp"

namespace page_map_lab {
namespace catalog_types_detail {

template <class... Policies>
consteval auto on_the_real_machine(TypeList<Policies...>) {
    return TypeList<typename Policies::template On<RealMachine>...>{};
}

template <class Reads, class... Policies>
consteval auto that_go_with(TypeList<Policies...>) {
    return concatenate<std::conditional_t<Composable<Policies, Reads>, TypeList<typename Policies::template With<Reads>>,
                                          TypeList<>>...>{};
}

template <class... Types>
consteval auto for_typed_tests(TypeList<Types...>) {
    return testing::Types<Types...>{};
}

}  // namespace catalog_types_detail

/// Every read path on the real machine.
using RealReadPaths = decltype(catalog_types_detail::on_the_real_machine(ReadPaths{}));

/// Every layout that goes with `Reads`.
template <class Reads>
using LayoutsWith = decltype(catalog_types_detail::that_go_with<Reads>(Layouts{}));

template <class Reads>
struct HasLockFreeReaders {
    static constexpr bool value = Reads::lock_free_readers;
};

/// A list as typed tests take it.
template <class List>
using TypesOf = decltype(catalog_types_detail::for_typed_tests(List{}));

}  // namespace page_map_lab
