#include "impl/platform/event_encoding.hpp"

#include <gtest/gtest.h>
#include <linux/perf_event.h>

namespace page_map_lab {
namespace {

struct KnownCode {
    const char* name;
    std::uint64_t code;
};

// From the vendors' manuals; where skx and spr differ shows that the prefix chooses the table.
constexpr KnownCode known_codes[] = {
    {"skx::DTLB_LOAD_MISSES:WALK_COMPLETED", 0xe08},
    {"spr::DTLB_LOAD_MISSES:WALK_COMPLETED", 0xe12},
    {"skx::TLB_FLUSH:STLB_ANY", 0x20bd},
    {"skx::HW_INTERRUPTS:RECEIVED", 0x1cb},
    {"amd64_fam19h_zen4::TLB_FLUSHES:ALL", 0xff78},
    {"amd64_fam19h_zen4::INTERRUPT_TAKEN", 0x2c},
    {"amd64_fam19h_zen4::L1_DTLB_MISS:TLB_RELOAD_4K_L2_MISS:TLB_RELOAD_2M_L2_MISS:TLB_RELOAD_1G_L2_MISS:"
     "TLB_RELOAD_COALESCED_PAGE_MISS",
     0xf045},
    {"raw:0xf045", 0xf045},
    {"raw:120", 120},
};

TEST(EventEncoding, encodes_processors_that_are_not_here_as_their_manuals_say) {
#if !defined(__x86_64__)
    GTEST_SKIP() << "libpfm4 encodes the processors of its own architecture; these are x86's";
#endif
    for (const auto& [name, code] : known_codes) {
        const auto encoded = encode_event(name);
        ASSERT_TRUE(encoded) << encoded.error().text();
        EXPECT_EQ(encoded->type, static_cast<std::uint32_t>(PERF_TYPE_RAW)) << name;
        EXPECT_EQ(encoded->config, code) << name;
    }
}

TEST(EventEncoding, encodes_the_kernels_generic_events) {
    const auto cycles = encode_event("perf::CYCLES");
    ASSERT_TRUE(cycles) << cycles.error().text();
    EXPECT_EQ(cycles->type, static_cast<std::uint32_t>(PERF_TYPE_HARDWARE));
    EXPECT_EQ(cycles->config, static_cast<std::uint64_t>(PERF_COUNT_HW_CPU_CYCLES));
    const auto walks = encode_event("perf::PERF_COUNT_HW_CACHE_DTLB:READ:MISS");
    ASSERT_TRUE(walks) << walks.error().text();
    EXPECT_EQ(walks->type, static_cast<std::uint32_t>(PERF_TYPE_HW_CACHE));
    EXPECT_EQ(walks->config, PERF_COUNT_HW_CACHE_DTLB | (PERF_COUNT_HW_CACHE_RESULT_MISS << 16));
}

TEST(EventEncoding, names_the_event_that_it_does_not_know) {
    const auto unknown = encode_event("skx::NO_SUCH_EVENT");
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, ErrorCode::unavailable);
    EXPECT_NE(unknown.error().text().find("skx::NO_SUCH_EVENT"), std::string::npos);
    EXPECT_FALSE(encode_event("no_such_pmu::CYCLES"));
}

TEST(EventEncoding, refuses_a_raw_code_that_is_no_number) {
    for (const char* const name : {"raw:", "raw:0x", "raw:12x", "raw:zero", "raw:-1"}) {
        const auto encoded = encode_event(name);
        ASSERT_FALSE(encoded) << name;
        EXPECT_EQ(encoded.error().code, ErrorCode::usage) << name;
    }
}

TEST(EventEncoding, tells_the_version_of_its_tables) { EXPECT_EQ(libpfm_version().substr(0, 2), "4."); }

}  // namespace
}  // namespace page_map_lab
