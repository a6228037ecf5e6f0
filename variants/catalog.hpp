// The catalog: THE one place that lists the policies of each axis. Everything else follows from it: the instantiations, the
// typed tests, the benchmarks, `lab list` and every axis of a plot.
//
// To add a policy: write its file under variants/<axis>/ (the file is named as the policy is) and add its line here.
#pragma once

#include "impl/core/type_list.hpp"
#include "variants/policies.hpp"  // made by the build: includes every file under variants/<axis>/
#include "variants/variant.hpp"

namespace page_map_lab {

using Layouts = TypeList<
    Flat,
    Radix,
    XArray>;

using ReadPaths = TypeList<
    Spinlock,
    RcuMemb,
    RcuQsbr,
    RcuMb,
    RcuBp>;

using Shootdowns = TypeList<
    PerPage,
    Batched,
    Hull,
    WholeSpace>;

using Mechanisms = TypeList<
    Mprotect>;

/// An axis that a name leaves out has this policy, and benchmarks step away from it along one axis at a time.
using BaseVariant = Variant<Radix, RcuQsbr, Batched, Mprotect>;

namespace catalog_detail {

template <class Layout, class ReadPath, class Mechanism>
inline constexpr bool composes = Composable<Layout, typename ReadPath::template On<MachineWith<Mechanism>>>;

template <class Layout, class ReadPath, class Shootdown, class... MechanismTypes>
consteval auto with_mechanisms(TypeList<MechanismTypes...>) {
    return concatenate<std::conditional_t<composes<Layout, ReadPath, MechanismTypes>,
                                          TypeList<Variant<Layout, ReadPath, Shootdown, MechanismTypes>>,
                                          TypeList<>>...>{};
}
template <class Layout, class ReadPath, class... ShootdownTypes>
consteval auto with_shootdowns(TypeList<ShootdownTypes...>) {
    return concatenate<decltype(with_mechanisms<Layout, ReadPath, ShootdownTypes>(Mechanisms{}))...>{};
}
template <class Layout, class... ReadPathTypes>
consteval auto with_read_paths(TypeList<ReadPathTypes...>) {
    return concatenate<decltype(with_shootdowns<Layout, ReadPathTypes>(Shootdowns{}))...>{};
}
template <class... LayoutTypes>
consteval auto with_layouts(TypeList<LayoutTypes...>) {
    return concatenate<decltype(with_read_paths<LayoutTypes>(ReadPaths{}))...>{};
}

template <class... LayoutTypes>
consteval auto unprotected(TypeList<LayoutTypes...>) {
    return TypeList<Variant<LayoutTypes, Unprotected, BaseVariant::ShootdownTag, BaseVariant::MechanismTag>...>{};
}

}  // namespace catalog_detail

/// Every composition that goes together.
using Variants = decltype(catalog_detail::with_layouts(Layouts{}));

/// The floors of the read axis: each layout, its walk unprotected. No variants: nothing may be removed from one while it
/// is read.
using UnprotectedFloors = decltype(catalog_detail::unprotected(Layouts{}));

/// The axes that a name is made of, in the order they have in it.
enum class Axis : std::uint8_t { layout, read, shootdown, mechanism };

/// Whether a workload can feel an axis. One that it cannot feel stays at the base's policy and out of the name.
struct FeltAxes {
    bool layout = false;
    bool read = false;
    bool shootdown = false;
    bool mechanism = false;
};

/// Whether a variant's name and its policies say its mechanism: the base's is left out.
template <class VariantType>
inline constexpr bool names_its_mechanism =
    !std::is_same_v<typename VariantType::MechanismTag, typename BaseVariant::MechanismTag>;

/// A variant's name in a workload that feels `axes`, for example "layout:radix/read:rcu_qsbr". The mechanism is left out
/// where it is the base's.
template <class VariantType>
std::string variant_name(FeltAxes axes) {
    std::string name;
    const auto add = [&](std::string_view axis, std::string_view policy) {
        name += (name.empty() ? "" : "/") + std::string(axis) + ":" + std::string(policy);
    };
    if (axes.layout) {
        add("layout", VariantType::LayoutTag::name);
    }
    if (axes.read) {
        add("read", VariantType::ReadPathTag::name);
    }
    if (axes.shootdown) {
        add("shootdown", VariantType::ShootdownTag::name);
    }
    if (names_its_mechanism<VariantType>) {
        add("mechanism", VariantType::MechanismTag::name);
    }
    return name;
}

namespace catalog_detail {

template <FeltAxes axes>
struct Feels {
    /// Variants that stand for themselves in a workload: those at the base's policy on every axis that is not felt.
    template <class VariantType>
    struct Predicate {
        static constexpr bool value =
            (axes.layout || std::is_same_v<typename VariantType::LayoutTag, typename BaseVariant::LayoutTag>) &&
            (axes.read || std::is_same_v<typename VariantType::ReadPathTag, typename BaseVariant::ReadPathTag>) &&
            (axes.shootdown || std::is_same_v<typename VariantType::ShootdownTag, typename BaseVariant::ShootdownTag>) &&
            (axes.mechanism || std::is_same_v<typename VariantType::MechanismTag, typename BaseVariant::MechanismTag>);
    };
};

}  // namespace catalog_detail

/// The variants that a workload which feels `axes` can tell apart.
template <FeltAxes axes>
using variants_felt = filter<Variants, catalog_detail::Feels<axes>::template Predicate>;

}  // namespace page_map_lab
