// How instantiated variants make themselves known, and find themselves in the catalog by their policies' names.
#pragma once

#include "variants/any_page_map.hpp"
#include "variants/catalog.hpp"

namespace page_map_lab {

namespace registry_detail {

/// Not in the catalog: a floor, or policies that do not go together.
struct NotListed {};

template <FixedString layout, FixedString read, FixedString shootdown, class List>
struct Named;
template <FixedString layout, FixedString read, FixedString shootdown>
struct Named<layout, read, shootdown, TypeList<>> {
    using type = NotListed;
};
template <FixedString layout, FixedString read, FixedString shootdown, class First, class... Rest>
struct Named<layout, read, shootdown, TypeList<First, Rest...>> {
    static constexpr bool matches = First::LayoutTag::name == layout.view() && First::ReadPathTag::name == read.view() &&
                                    First::ShootdownTag::name == shootdown.view();
    using type = typename std::conditional_t<matches, std::type_identity<First>,
                                             Named<layout, read, shootdown, TypeList<Rest...>>>::type;
};

}  // namespace registry_detail

/// The variant or floor of the catalog with these policies, or NotListed.
template <FixedString layout, FixedString read, FixedString shootdown>
using variant_named =
    typename registry_detail::Named<layout, read, shootdown, concatenate<Variants, UnprotectedFloors>>::type;

/// The entry of one variant; defined where the variant is instantiated.
template <class VariantType>
VariantEntry variant_entry();

}  // namespace page_map_lab
