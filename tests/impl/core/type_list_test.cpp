#include "impl/core/type_list.hpp"

#include <type_traits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace page_map_lab {
namespace {

using Numbers = TypeList<char, short, int, long>;

template <class T>
using IsWide = std::bool_constant<(sizeof(T) >= sizeof(int))>;
template <class>
using Never = std::false_type;

TEST(TypeList, keeps_its_types_in_order) {
    static_assert(Numbers::size == 4);
    static_assert(std::is_same_v<Numbers::at<1>, short>);
    std::vector<std::size_t> sizes;
    Numbers::for_each([&]<class T>() { sizes.push_back(sizeof(T)); });
    EXPECT_THAT(sizes, ::testing::ElementsAre(1, 2, 4, 8));
}

TEST(TypeList, concatenates_any_number_of_lists) {
    static_assert(std::is_same_v<concatenate<>, TypeList<>>);
    static_assert(std::is_same_v<concatenate<TypeList<int>>, TypeList<int>>);
    static_assert(std::is_same_v<concatenate<TypeList<int>, TypeList<>, TypeList<char, long>>,
                                 TypeList<int, char, long>>);
}

TEST(TypeList, a_filter_keeps_what_the_predicate_holds_for) {
    static_assert(std::is_same_v<filter<Numbers, IsWide>, TypeList<int, long>>);
    static_assert(std::is_same_v<filter<Numbers, Never>, TypeList<>>);
}

}  // namespace
}  // namespace page_map_lab
