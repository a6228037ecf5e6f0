// A list of types to compute with at compile time: the catalog's product of policies is made of these.
#pragma once

#include <cstddef>
#include <tuple>
#include <utility>

namespace page_map_lab {

template <class... Types>
struct TypeList {
    static constexpr std::size_t size = sizeof...(Types);

    template <std::size_t Position>
    using at = std::tuple_element_t<Position, std::tuple<Types...>>;

    /// Calls `visit.template operator()<Type>()` for each type in order.
    template <class Visit>
    static constexpr void for_each(Visit&& visit) {
        (visit.template operator()<Types>(), ...);
    }
};

namespace type_list_detail {

template <class... Lists>
struct Concatenate;
template <>
struct Concatenate<> {
    using type = TypeList<>;
};
template <class... Types>
struct Concatenate<TypeList<Types...>> {
    using type = TypeList<Types...>;
};
template <class... First, class... Second, class... Rest>
struct Concatenate<TypeList<First...>, TypeList<Second...>, Rest...> {
    using type = typename Concatenate<TypeList<First..., Second...>, Rest...>::type;
};

template <class List, template <class> class Predicate>
struct Filter;
template <template <class> class Predicate, class... Types>
struct Filter<TypeList<Types...>, Predicate> {
    using type = typename Concatenate<
        std::conditional_t<Predicate<Types>::value, TypeList<Types>, TypeList<>>...>::type;
};

}  // namespace type_list_detail

/// One list with the types of all `Lists`, in order.
template <class... Lists>
using concatenate = typename type_list_detail::Concatenate<Lists...>::type;

/// The types of `List` for which `Predicate<Type>::value` holds, in order.
template <class List, template <class> class Predicate>
using filter = typename type_list_detail::Filter<List, Predicate>::type;

}  // namespace page_map_lab
