// How instantiated variants make themselves known, and find themselves in the catalog by their policies' names.
#pragma once

#include "variants/any_page_map.hpp"
#include "variants/catalog.hpp"

namespace page_map_lab {

namespace registry_detail {

/// Not in the catalog: policies that do not go together.
template <FixedString... policies>
struct NotListed {};

template <class VariantType>
inline constexpr bool is_listed = true;
template <FixedString... policies>
inline constexpr bool is_listed<NotListed<policies...>> = false;

template <FixedString layout, FixedString read, FixedString shootdown, FixedString mechanism, class List>
struct Named;
template <FixedString layout, FixedString read, FixedString shootdown, FixedString mechanism>
struct Named<layout, read, shootdown, mechanism, TypeList<>> {
    using type = NotListed<layout, read, shootdown, mechanism>;
};
template <FixedString layout, FixedString read, FixedString shootdown, FixedString mechanism, class First, class... Rest>
struct Named<layout, read, shootdown, mechanism, TypeList<First, Rest...>> {
    static constexpr bool matches = First::LayoutTag::name == layout.view() && First::ReadPathTag::name == read.view() &&
                                    First::ShootdownTag::name == shootdown.view() &&
                                    First::MechanismTag::name == mechanism.view();
    using type = typename std::conditional_t<matches, std::type_identity<First>,
                                             Named<layout, read, shootdown, mechanism, TypeList<Rest...>>>::type;
};

/// The base's mechanism, as a template argument.
inline constexpr auto base_mechanism = [] {
    constexpr std::string_view name = BaseVariant::MechanismTag::name;
    FixedString<name.size() + 1> text{{}};
    std::copy_n(name.data(), name.size(), text.characters);
    return text;
}();

}  // namespace registry_detail

/// The variant or floor of the catalog with these policies, or NotListed.
template <FixedString layout, FixedString read, FixedString shootdown,
          FixedString mechanism = registry_detail::base_mechanism>
using variant_named =
    typename registry_detail::Named<layout, read, shootdown, mechanism, concatenate<Variants, UnprotectedFloors>>::type;

/// The entry of one variant; defined where the variant is instantiated.
template <class VariantType>
VariantEntry variant_entry();

}  // namespace page_map_lab
