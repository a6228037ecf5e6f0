// From the catalog's type list to a workload's subjects.
//
// Thread safety: plain functions.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/harness/workload.hpp"
#include "variants/catalog.hpp"

namespace page_map_lab::bench {

using Policies = std::vector<std::pair<std::string, std::string>>;

namespace variant_subjects_detail {

template <class List>
PolicyAxis policy_axis(std::string name, std::string_view default_policy) {
    PolicyAxis axis{std::move(name), std::string(default_policy), {}};
    List::for_each([&]<class Policy>() { axis.policies.emplace_back(Policy::name); });
    return axis;
}

}  // namespace variant_subjects_detail

/// Adds one subject per variant that a workload which feels `felt` can tell apart. `make` is called as
/// `make.template operator()<Variant>(parameters)` and returns a unique_ptr<Cell>.
///
/// `frames` is "return", or "keep" for maps that do not give memory back; "keep" is mentioned in names, and a workload
/// that offers it feels the axis.
///
///     add_variants<FeltAxes{.layout = true, .read = true}>(workload, []<class Variant>(const Parameters& parameters) {
///         return std::make_unique<LookupCell<Variant>>(parameters);
///     });
template <FeltAxes felt, class MakeCell>
void add_variants(WorkloadDescription& workload, MakeCell make, const std::string& frames = "return") {
    using variant_subjects_detail::policy_axis;
    if (workload.policy_axes.empty()) {
        workload.policy_axes = {policy_axis<Layouts>("layout", BaseVariant::LayoutTag::name),
                                policy_axis<ReadPaths>("read", BaseVariant::ReadPathTag::name),
                                policy_axis<Shootdowns>("shootdown", BaseVariant::ShootdownTag::name),
                                policy_axis<Mechanisms>("mechanism", BaseVariant::MechanismTag::name),
                                {"frames", "return", {"return", "keep"}}};
        // An axis with one policy tells nobody apart.
        for (const auto& [is_felt, axis] :
             {std::pair{felt.layout, "layout"}, std::pair{felt.read, "read"}, std::pair{felt.shootdown, "shootdown"},
              std::pair{felt.mechanism && Mechanisms::size > 1, "mechanism"}}) {
            if (is_felt) {
                workload.axes.emplace_back(axis);
            }
        }
    }
    const bool keep = frames == "keep";
    if (keep) {
        workload.axes.emplace_back("frames");
    }
    variants_felt<felt>::for_each([&]<class Variant>() {
        Policies policies;
        const auto add = [&](bool is_felt, const char* axis, std::string_view policy) {
            if (is_felt) {
                policies.emplace_back(axis, policy);
            }
        };
        add(felt.layout, "layout", Variant::LayoutTag::name);
        add(felt.read, "read", Variant::ReadPathTag::name);
        add(felt.shootdown, "shootdown", Variant::ShootdownTag::name);
        add(names_its_mechanism<Variant>, "mechanism", Variant::MechanismTag::name);
        add(keep, "frames", frames);
        workload.subjects.push_back({variant_name<Variant>(felt) + (keep ? "/frames:keep" : ""), std::move(policies),
                                     false, [make](const Parameters& parameters) -> std::unique_ptr<Cell> {
                                         return make.template operator()<Variant>(parameters);
                                     }});
    });
}

/// Adds the floors of the read axis, "layout:radix/read:none": each layout with its walk unprotected. For workloads
/// that remove nothing while they read. `make` as add_variants'.
template <FeltAxes felt, class MakeCell>
void add_unprotected_floors(WorkloadDescription& workload, MakeCell make) {
    UnprotectedFloors::for_each([&]<class Variant>() {
        Policies policies = {{"layout", std::string(Variant::LayoutTag::name)},
                             {"read", std::string(Variant::ReadPathTag::name)}};
        workload.subjects.push_back({variant_name<Variant>(felt), std::move(policies), true,
                                     [make](const Parameters& parameters) -> std::unique_ptr<Cell> {
                                         return make.template operator()<Variant>(parameters);
                                     }});
    });
}

}  // namespace page_map_lab::bench
