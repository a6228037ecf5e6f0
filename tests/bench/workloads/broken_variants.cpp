#include "tests/bench/workloads/broken_variants.hpp"

#include "impl/page_map/page_map_definitions.hpp"

namespace page_map_lab {

template class PageMap<bench::WithShootdown<bench::SkipsTheFlush>>;
template class PageMap<bench::WithShootdown<bench::ForgetsARegion>>;
template class PageMap<bench::WithShootdown<bench::ForgetsWorkers>>;
template class PageMap<bench::OnFaultyMachine<bench::DropsAReference>>;
template class PageMap<bench::OnFaultyMachine<bench::ForgetsDirty>>;

}  // namespace page_map_lab
