// The variants that the sweep runs: each layout once, as a failure does not depend on what the rest is composed of.
#include "variants/instantiate.hpp"

#include "tests/failures/instances.hpp"

namespace page_map_lab {

template class PageMap<variant_named<"radix", "rcu_memb", "batched">>;
template class PageMap<variant_named<"xarray", "rcu_memb", "whole_space">>;
template class PageMap<variant_named<"flat", "spinlock", "per_page">>;

namespace failures {

std::vector<VariantEntry> swept_variants() {
    return {variant_entry<variant_named<"radix", "rcu_memb", "batched">>(),
            variant_entry<variant_named<"xarray", "rcu_memb", "whole_space">>(),
            variant_entry<variant_named<"flat", "spinlock", "per_page">>()};
}

}  // namespace failures
}  // namespace page_map_lab
