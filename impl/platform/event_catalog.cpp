#include "impl/platform/event_catalog.hpp"

#include <algorithm>
#include <charconv>
#include <initializer_list>

namespace page_map_lab {
namespace {

using Events = std::vector<HardwareEvent>;

Events join(std::initializer_list<Events> parts) {
    Events all;
    for (const Events& part : parts) {
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

// The kernel keeps these two right for every PMU that it drives.
Events cycles() {
    return {{"cycles", "Core clock cycles while not halted.", {"perf::CYCLES"}},
            {"instructions", "Instructions retired.", {"perf::INSTRUCTIONS"}}};
}

// --- Intel -----------------------------------------------------------------------------------------------------------

Events intel_walks() {
    return {
        {"dtlb_load_walks", "Page walks that loads caused and that completed.", {"DTLB_LOAD_MISSES:WALK_COMPLETED"}},
        {"dtlb_store_walks", "Page walks that stores caused and that completed.", {"DTLB_STORE_MISSES:WALK_COMPLETED"}},
        {"itlb_walks", "Page walks that instruction fetches caused and that completed.",
         {"ITLB_MISSES:WALK_COMPLETED"}},
        {"dtlb_load_walk_cycles", "Cycles with a page walk of a load under way.", {"DTLB_LOAD_MISSES:WALK_ACTIVE"}},
        {"dtlb_store_walk_cycles", "Cycles with a page walk of a store under way.", {"DTLB_STORE_MISSES:WALK_ACTIVE"}},
        {"itlb_walk_cycles", "Cycles with a page walk of a fetch under way.", {"ITLB_MISSES:WALK_ACTIVE"}},
        {"dtlb_load_second_level_hits", "Loads that missed the first TLB and hit the second.",
         {"DTLB_LOAD_MISSES:STLB_HIT"}},
        {"dtlb_store_second_level_hits", "Stores that missed the first TLB and hit the second.",
         {"DTLB_STORE_MISSES:STLB_HIT"}},
        {"itlb_second_level_hits", "Fetches that missed the first TLB and hit the second.", {"ITLB_MISSES:STLB_HIT"}},
    };
}

Events intel_flushes() {
    return {{"tlb_flushes", "Flushes of the second-level TLB, of any kind.", {"TLB_FLUSH:STLB_ANY"}},
            {"dtlb_flushes", "Flushes of this thread's first-level data TLB.", {"TLB_FLUSH:DTLB_THREAD"}}};
}

Events no_flushes(std::string_view why) {
    return {{"tlb_flushes", why, {}}};
}

Events intel_cache(std::string_view modified_elsewhere) {
    return {
        {"l1_load_misses", "Loads that missed the first-level data cache.", {"MEM_LOAD_RETIRED:L1_MISS"}},
        {"l2_load_misses", "Loads that missed the second-level cache.", {"MEM_LOAD_RETIRED:L2_MISS"}},
        {"l3_load_misses", "Loads that missed the third-level cache.", {"MEM_LOAD_RETIRED:L3_MISS"}},
        {"loads_from_other_core", "Loads served by another core's modified line.", {modified_elsewhere}},
        {"last_level_misses", "Requests of any kind that missed the last-level cache.", {"LONGEST_LAT_CACHE:MISS"}},
    };
}

Events intel_server_numa() {
    return {
        {"loads_from_local_memory", "Loads served by this node's memory.", {"MEM_LOAD_L3_MISS_RETIRED:LOCAL_DRAM"}},
        {"loads_from_remote_memory", "Loads served by another node's memory.",
         {"MEM_LOAD_L3_MISS_RETIRED:REMOTE_DRAM"}},
        {"loads_from_remote_modified", "Loads served by a modified line of another node's cache.",
         {"MEM_LOAD_L3_MISS_RETIRED:REMOTE_HITM"}},
        {"loads_from_remote_forward", "Loads served by a clean line of another node's cache.",
         {"MEM_LOAD_L3_MISS_RETIRED:REMOTE_FWD"}},
    };
}

Events intel_client_numa() {
    return {
        {"loads_from_local_memory", "Loads served by memory.", {"MEM_LOAD_L3_MISS_RETIRED:LOCAL_DRAM"}},
        {"loads_from_remote_memory", "A client processor has one memory node: nothing is remote.", {}},
    };
}

Events intel_interrupts() {
    return {{"interrupts_taken", "Hardware interrupts received.", {"HW_INTERRUPTS:RECEIVED"}}};
}

Events no_interrupts(std::string_view why) {
    return {{"interrupts_taken", why, {}}};
}

constexpr std::string_view intel_has_no_interrupts =
    "Intel processors after Cascade Lake have no such event; call_function_interrupts counts shootdowns.";

// The codes of Golden Cove and Redwood Cove, for servers that libpfm4 4.13 does not know yet.
Events intel_new_tlb() {
    return {
        {"dtlb_load_walks", "Page walks that loads caused and that completed.",
         {"perf::PERF_COUNT_HW_CACHE_DTLB:READ:MISS", "raw:0xe12"}},
        {"dtlb_store_walks", "Page walks that stores caused and that completed.",
         {"perf::PERF_COUNT_HW_CACHE_DTLB:WRITE:MISS", "raw:0xe13"}},
        {"itlb_walks", "Page walks that instruction fetches caused and that completed.",
         {"perf::PERF_COUNT_HW_CACHE_ITLB:READ:MISS", "raw:0xe11"}},
        {"dtlb_load_walk_cycles", "Cycles with a page walk of a load under way.", {"raw:0x1001012"}},
        {"dtlb_store_walk_cycles", "Cycles with a page walk of a store under way.", {"raw:0x1001013"}},
        {"itlb_walk_cycles", "Cycles with a page walk of a fetch under way.", {"raw:0x1001011"}},
        {"dtlb_load_second_level_hits", "Loads that missed the first TLB and hit the second.", {"raw:0x2012"}},
        {"dtlb_store_second_level_hits", "Stores that missed the first TLB and hit the second.", {"raw:0x2013"}},
        {"itlb_second_level_hits", "Fetches that missed the first TLB and hit the second.", {"raw:0x2011"}},
    };
}

Events intel_new_numa() {
    return {
        {"loads_from_local_memory", "Loads served by this node's memory.", {"raw:0x1d3"}},
        {"loads_from_remote_memory", "Loads served by another node's memory.", {"raw:0x2d3"}},
        {"loads_from_remote_modified", "Loads served by a modified line of another node's cache.", {"raw:0x4d3"}},
        {"loads_from_remote_forward", "Loads served by a clean line of another node's cache.", {"raw:0x8d3"}},
    };
}

// --- AMD -------------------------------------------------------------------------------------------------------------

constexpr std::string_view zen_dtlb_walks =
    "L1_DTLB_MISS:TLB_RELOAD_4K_L2_MISS:TLB_RELOAD_2M_L2_MISS:TLB_RELOAD_1G_L2_MISS:TLB_RELOAD_COALESCED_PAGE_MISS";
constexpr std::string_view zen_dtlb_hits =
    "L1_DTLB_MISS:TLB_RELOAD_4K_L2_HIT:TLB_RELOAD_2M_L2_HIT:TLB_RELOAD_1G_L2_HIT:TLB_RELOAD_COALESCED_PAGE_HIT";

Events zen_tlb(std::string_view itlb_walks, Events flushes) {
    return join({{{"dtlb_walks", "Data accesses that missed both TLBs and walked the page table.", {zen_dtlb_walks}},
                  {"itlb_walks", "Fetches that missed both TLBs and walked the page table.", {itlb_walks}},
                  {"dtlb_second_level_hits", "Data accesses that missed the first TLB and hit the second.",
                   {zen_dtlb_hits}},
                  {"itlb_second_level_hits", "Fetches that missed the first TLB and hit the second.",
                   {"L1_ITLB_MISS_L2_ITLB_HIT"}}},
                 std::move(flushes)});
}

Events zen_flushes() {
    return {{"tlb_flushes", "Flushes of the TLB, of any kind.", {"TLB_FLUSHES:ALL"}}};
}

Events zen_interrupts() {
    return {{"interrupts_taken", "Interrupts taken.", {"INTERRUPT_TAKEN"}}};
}

Events generic_cache() {
    return {{"cache_references", "Requests to the last-level cache, as the kernel defines them for this processor.",
             {"perf::CACHE-REFERENCES"}},
            {"cache_misses", "Requests that missed the last-level cache, as the kernel defines them.",
             {"perf::CACHE-MISSES"}}};
}

/// Where the first-level data cache was filled from: the second-level cache, another cache of the complex or node, ...
struct ZenFills {
    std::string_view second_level, same_complex, near_cache, local_memory, remote_cache, remote_memory;
};

Events zen_cache(const ZenFills& from) {
    Events events = join({generic_cache(),
                          {{"fills_from_second_level", "Data-cache fills served by the second-level cache.",
                            {from.second_level}},
                           {"fills_from_same_complex", "Data-cache fills served by the complex's third level or by "
                                                       "another of its cores.",
                            {from.same_complex}}}});
    if (!from.near_cache.empty()) {
        events.push_back({"fills_from_other_complex", "Data-cache fills served by another complex of this node.",
                          {from.near_cache}});
    }
    return events;
}

Events zen_numa(const ZenFills& from) {
    return {
        {"fills_from_local_memory", "Data-cache fills served by this node's memory.", {from.local_memory}},
        {"fills_from_remote_memory", "Data-cache fills served by another node's memory.", {from.remote_memory}},
        {"fills_from_remote_cache", "Data-cache fills served by another node's cache.", {from.remote_cache}},
    };
}

// Event 0x43 of every Zen, where libpfm4 does not name it: Zen 1 and those newer than its tables.
constexpr ZenFills zen_raw_fills{"raw:0x143", "raw:0x243", "raw:0x443", "raw:0x843", "raw:0x1043", "raw:0x4043"};
constexpr ZenFills zen1_raw_fills{"raw:0x143", "raw:0x243", "", "raw:0x843", "raw:0x1043", "raw:0x4043"};
constexpr ZenFills zen2_fills{"DATA_CACHE_REFILLS_FROM_SYSTEM:MABRESP_LCL_L2",
                              "DATA_CACHE_REFILLS_FROM_SYSTEM:LS_MABRESP_LCL_CACHE",
                              "",
                              "DATA_CACHE_REFILLS_FROM_SYSTEM:LS_MABRESP_LCL_DRAM",
                              "DATA_CACHE_REFILLS_FROM_SYSTEM:LS_MABRESP_RMT_CACHE",
                              "DATA_CACHE_REFILLS_FROM_SYSTEM:LS_MABRESP_RMT_DRAM"};
constexpr ZenFills zen3_fills{"DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:LCL_L2",
                              "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:INT_CACHE",
                              "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:EXT_CACHE_LCL",
                              "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:MEM_IO_LCL",
                              "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:EXT_CACHE_RMT",
                              "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:MEM_IO_RMT"};
constexpr ZenFills zen4_fills{"DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:LCL_L2",
                              "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:LOCAL_CCX",
                              "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:NEAR_CACHE_NEAR_FAR",
                              "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:DRAM_IO_NEAR",
                              "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:FAR_CACHE_NEAR_FAR",
                              "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:DRAM_IO_FAR"};

Events zen_new_tlb() {
    return {
        {"dtlb_walks", "Data accesses that missed both TLBs and walked the page table.",
         {"perf::PERF_COUNT_HW_CACHE_DTLB:READ:MISS", "raw:0xf045"}},
        {"itlb_walks", "Fetches that missed both TLBs and walked the page table.",
         {"perf::PERF_COUNT_HW_CACHE_ITLB:READ:MISS", "raw:0xf85"}},
        {"dtlb_second_level_hits", "Data accesses that missed the first TLB and hit the second.", {"raw:0xf45"}},
        {"itlb_second_level_hits", "Fetches that missed the first TLB and hit the second.", {"raw:0x84"}},
        {"tlb_flushes", "Flushes of the TLB, of any kind.", {"raw:0xff78"}},
    };
}

// --- Arm: the architected codes stand behind the names, so a core that libpfm4 does not know is counted too ---------

Events arm_tlb() {
    return join({{{"l1_dtlb_refills", "Data accesses that missed the first-level TLB.", {"L1D_TLB_REFILL", "raw:0x5"}},
                  {"l2_tlb_refills", "Accesses that missed the second-level TLB.", {"L2D_TLB_REFILL", "raw:0x2d"}},
                  {"dtlb_walks", "Page walks that data accesses caused.", {"DTLB_WALK", "raw:0x34"}},
                  {"l1_itlb_refills", "Fetches that missed the first-level TLB.", {"L1I_TLB_REFILL", "raw:0x2"}},
                  {"itlb_walks", "Page walks that instruction fetches caused.", {"ITLB_WALK", "raw:0x35"}}},
                 no_flushes("Arm broadcasts its flushes in hardware and counts none.")});
}

Events arm_cache() {
    return {
        {"l1_refills", "First-level data-cache refills.", {"L1D_CACHE_REFILL", "raw:0x3"}},
        {"l2_refills", "Second-level cache refills.", {"L2D_CACHE_REFILL", "raw:0x17"}},
        {"last_level_misses", "Reads that missed the last-level cache.", {"LL_CACHE_MISS_RD", "raw:0x37"}},
    };
}

Events arm_numa() {
    return {{"remote_accesses", "Accesses served by another socket or chip.", {"REMOTE_ACCESS", "raw:0x31"}}};
}

Events arm_interrupts() {
    return {{"interrupts_taken", "Interrupt exceptions taken.", {"EXC_IRQ", "raw:0x86"}}};
}

// --- any other: what the kernel itself translates --------------------------------------------------------------------

Events generic_tlb() {
    return join({{{"dtlb_load_misses", "Loads that missed the data TLB, as the kernel defines it.",
                   {"perf::PERF_COUNT_HW_CACHE_DTLB:READ:MISS"}},
                  {"dtlb_store_misses", "Stores that missed the data TLB, as the kernel defines it.",
                   {"perf::PERF_COUNT_HW_CACHE_DTLB:WRITE:MISS"}},
                  {"itlb_misses", "Fetches that missed the instruction TLB, as the kernel defines it.",
                   {"perf::PERF_COUNT_HW_CACHE_ITLB:READ:MISS"}}},
                 no_flushes("No table for this processor, and the kernel has no generic event for flushes.")});
}

Events generic_numa() {
    return {
        {"node_loads", "Loads that memory served, as the kernel defines it.",
         {"perf::PERF_COUNT_HW_CACHE_NODE:READ:ACCESS"}},
        {"node_load_misses", "Loads that another node's memory served, as the kernel defines it.",
         {"perf::PERF_COUNT_HW_CACHE_NODE:READ:MISS"}},
    };
}

EventTable table(std::string_view title, std::vector<std::string_view> pmus, Events tlb, Events cache, Events numa,
                 Events interrupts) {
    return {title,
            std::move(pmus),
            {{CounterSetName::cycles, cycles()},
             {CounterSetName::tlb, std::move(tlb)},
             {CounterSetName::cache, std::move(cache)},
             {CounterSetName::numa, std::move(numa)},
             {CounterSetName::interrupts, std::move(interrupts)}}};
}

// The fallbacks come last, in this order.
enum Fallback : std::size_t { intel_new, zen_new, arm, generic, fallback_count };

const std::vector<EventTable>& all_tables() {
    using namespace std::string_view_literals;
    constexpr std::string_view hitm = "MEM_LOAD_L3_HIT_RETIRED:XSNP_HITM";
    constexpr std::string_view forward = "MEM_LOAD_L3_HIT_RETIRED:XSNP_FWD";
    constexpr std::string_view zen2_itlb = "L1_ITLB_MISS_L2_ITLB_MISS:IF4K:IF2M:IF1G";
    constexpr std::string_view zen3_itlb = "L1_ITLB_MISS_L2_ITLB_MISS:IF4K:IF2M:IF1G:COALESCED4K";
    static const std::vector<EventTable> tables = {
        table("Intel Skylake client", {"skl"}, join({intel_walks(), intel_flushes()}), intel_cache(hitm),
              intel_client_numa(), intel_interrupts()),
        table("Intel Skylake and Cascade Lake server", {"skx", "clx"}, join({intel_walks(), intel_flushes()}),
              intel_cache(hitm), intel_server_numa(), intel_interrupts()),
        table("Intel Ice Lake client", {"icl"}, join({intel_walks(), intel_flushes()}), intel_cache(hitm),
              intel_client_numa(), no_interrupts(intel_has_no_interrupts)),
        table("Intel Ice Lake server", {"icx"}, join({intel_walks(), intel_flushes()}), intel_cache(hitm),
              intel_server_numa(), no_interrupts(intel_has_no_interrupts)),
        table("Intel Sapphire Rapids", {"spr", "emr", "gnr"},
              join({intel_walks(), no_flushes("Intel processors from Sapphire Rapids on count no TLB flushes; "
                                              "tlb_flush_* of the kernel do.")}),
              intel_cache(forward), intel_server_numa(), no_interrupts(intel_has_no_interrupts)),
        table("AMD Zen 1", {"amd64_fam17h_zen1"},
              zen_tlb(zen2_itlb, no_flushes("Zen 1 counts no TLB flushes; tlb_flush_* of the kernel do.")),
              zen_cache(zen1_raw_fills), zen_numa(zen1_raw_fills),
              no_interrupts("Zen 1 counts no interrupts; call_function_interrupts counts shootdowns.")),
        table("AMD Zen 2", {"amd64_fam17h_zen2"}, zen_tlb(zen2_itlb, zen_flushes()), zen_cache(zen2_fills),
              zen_numa(zen2_fills), zen_interrupts()),
        table("AMD Zen 3", {"amd64_fam19h_zen3"}, zen_tlb(zen3_itlb, zen_flushes()), zen_cache(zen3_fills),
              zen_numa(zen3_fills), zen_interrupts()),
        table("AMD Zen 4", {"amd64_fam19h_zen4"}, zen_tlb(zen3_itlb, zen_flushes()), zen_cache(zen4_fills),
              zen_numa(zen4_fills), zen_interrupts()),
        table("Intel server newer than libpfm4's tables: generic and raw events", {},
              join({intel_new_tlb(), no_flushes("Intel processors from Sapphire Rapids on count no TLB flushes; "
                                                "tlb_flush_* of the kernel do.")}),
              generic_cache(), intel_new_numa(), no_interrupts(intel_has_no_interrupts)),
        table("AMD Zen newer than libpfm4's tables: generic and raw events", {}, zen_new_tlb(),
              zen_cache(zen_raw_fills), zen_numa(zen_raw_fills),
              {{"interrupts_taken", "Interrupts taken.", {"raw:0x2c"}}}),
        table("Arm", {}, arm_tlb(), arm_cache(), arm_numa(), arm_interrupts()),
        table("processor without a table: the kernel's generic events", {}, generic_tlb(), generic_cache(),
              generic_numa(),
              no_interrupts("No table for this processor, and the kernel has no generic event for interrupts.")),
    };
    return tables;
}

const EventTable& fallback_table(Fallback fallback) {
    const std::vector<EventTable>& tables = all_tables();
    return tables[tables.size() - fallback_count + fallback];
}

/// The value behind the first "key : value" line of that key.
std::string_view cpuinfo_value(std::string_view text, std::string_view key) {
    std::size_t position = 0;
    while (position < text.size()) {
        const std::size_t end = std::min(text.find('\n', position), text.size());
        const std::string_view line = text.substr(position, end - position);
        const std::size_t colon = line.find(':');
        if (colon != std::string_view::npos && line.starts_with(key) &&
            line.substr(key.size(), colon - key.size()).find_first_not_of(" \t") == std::string_view::npos) {
            const std::size_t from = line.find_first_not_of(" \t", colon + 1);
            return from == std::string_view::npos ? std::string_view{} : line.substr(from);
        }
        position = end + 1;
    }
    return {};
}

unsigned cpuinfo_number(std::string_view text, std::string_view key) {
    const std::string_view digits = cpuinfo_value(text, key);
    unsigned value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
}

}  // namespace

std::span<const HardwareEvent> EventTable::events(CounterSetName set) const noexcept {
    const auto found = sets.find(set);
    return found == sets.end() ? std::span<const HardwareEvent>{} : std::span<const HardwareEvent>{found->second};
}

std::span<const EventTable> event_tables() { return all_tables(); }

ProcessorIdentity parse_processor_identity(std::string_view cpuinfo) {
    if (!cpuinfo_value(cpuinfo, "CPU implementer").empty()) {
        return {.vendor = "ARM"};
    }
    return {.vendor = std::string(cpuinfo_value(cpuinfo, "vendor_id")),
            .family = cpuinfo_number(cpuinfo, "cpu family"),
            .model = cpuinfo_number(cpuinfo, "model")};
}

const EventTable& event_table_for(const ProcessorIdentity& processor) {
    for (const EventTable& candidate : all_tables()) {
        if (std::ranges::find(candidate.pmus, processor.pmu) != candidate.pmus.end()) {
            return candidate;
        }
    }
    // Emerald Rapids, and Granite Rapids in its two sizes.
    constexpr unsigned new_intel_servers[] = {207, 173, 174};
    if (processor.vendor == "GenuineIntel" && processor.family == 6 &&
        std::ranges::find(new_intel_servers, processor.model) != std::end(new_intel_servers)) {
        return fallback_table(intel_new);
    }
    if (processor.vendor == "AuthenticAMD" && processor.family >= 0x1a) {
        return fallback_table(zen_new);
    }
    if (processor.vendor == "ARM" || processor.pmu.starts_with("arm_")) {
        return fallback_table(arm);
    }
    return fallback_table(generic);
}

std::string qualified_encoding(std::string_view encoding, std::string_view pmu) {
    if (encoding.starts_with("raw:") || encoding.find("::") != std::string_view::npos) {
        return std::string(encoding);
    }
    return std::string(pmu) + "::" + std::string(encoding);
}

}  // namespace page_map_lab
