#include "impl/platform/event_catalog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "impl/platform/event_encoding.hpp"

namespace page_map_lab {
namespace {

const HardwareEvent* find_event(const EventTable& table, CounterSetName set, std::string_view name) {
    for (const HardwareEvent& event : table.events(set)) {
        if (event.name == name) {
            return &event;
        }
    }
    return nullptr;
}

std::uint64_t code_of(const char* pmu, CounterSetName set, std::string_view name) {
    const HardwareEvent* event = find_event(event_table_for({.pmu = pmu}), set, name);
    if (event == nullptr || event->encodings.empty()) {
        return 0;
    }
    const auto encoded = encode_event(qualified_encoding(event->encodings.front(), pmu));
    return encoded ? encoded->config : 0;
}

// emr and gnr are for libpfm4 releases after 4.13.
bool known_to_oldest_supported_library(std::string_view pmu) { return pmu != "emr" && pmu != "gnr"; }

TEST(EventCatalog, every_event_of_every_set_encodes_for_every_processor_of_its_table) {
#if !defined(__x86_64__)
    GTEST_SKIP() << "libpfm4 encodes the processors of its own architecture; these are x86's";
#endif
    std::size_t encoded_events = 0;
    for (const EventTable& table : event_tables()) {
        for (const std::string_view pmu : table.pmus) {
            if (!known_to_oldest_supported_library(pmu)) {
                continue;
            }
            for (const auto& [set, events] : table.sets) {
                for (const HardwareEvent& event : events) {
                    for (const std::string_view encoding : event.encodings) {
                        const auto encoded = encode_event(qualified_encoding(encoding, pmu));
                        EXPECT_TRUE(encoded) << event.name << ": " << encoded.error().text();
                        ++encoded_events;
                    }
                }
            }
        }
    }
    EXPECT_GT(encoded_events, 150U);
}

TEST(EventCatalog, the_fallbacks_ask_only_for_generic_and_raw_events_or_have_a_raw_code_behind_the_name) {
    for (const EventTable& table : event_tables()) {
        if (!table.pmus.empty()) {
            continue;
        }
        for (const auto& [set, events] : table.sets) {
            for (const HardwareEvent& event : events) {
                if (event.encodings.empty()) {
                    continue;
                }
                const std::string_view last = event.encodings.back();
                EXPECT_TRUE(last.starts_with("raw:") || last.starts_with("perf::")) << table.title << event.name;
                EXPECT_TRUE(encode_event(last)) << table.title << event.name;
            }
        }
    }
}

TEST(EventCatalog, every_table_answers_every_set_or_says_why_not_and_names_nothing_twice) {
    for (const EventTable& table : event_tables()) {
        for (const CounterSetName set : all_counter_sets()) {
            if (set == CounterSetName::none) {
                EXPECT_TRUE(table.events(set).empty());
                continue;
            }
            EXPECT_FALSE(table.events(set).empty()) << table.title << " " << to_string(set);
            std::set<std::string_view> names;
            for (const HardwareEvent& event : table.events(set)) {
                EXPECT_TRUE(names.insert(event.name).second) << table.title << " " << event.name;
                EXPECT_FALSE(event.meaning.empty()) << event.name;
            }
        }
    }
}

TEST(EventCatalog, the_same_question_has_its_own_code_on_each_processor) {
#if !defined(__x86_64__)
    GTEST_SKIP() << "libpfm4 encodes the processors of its own architecture; these are x86's";
#endif
    EXPECT_EQ(code_of("skx", CounterSetName::tlb, "dtlb_load_walks"), 0xe08U);
    EXPECT_EQ(code_of("spr", CounterSetName::tlb, "dtlb_load_walks"), 0xe12U);
    EXPECT_EQ(code_of("skx", CounterSetName::tlb, "tlb_flushes"), 0x20bdU);
    EXPECT_EQ(code_of("amd64_fam19h_zen4", CounterSetName::tlb, "tlb_flushes"), 0xff78U);
    for (const char* const zen : {"amd64_fam17h_zen1", "amd64_fam17h_zen2", "amd64_fam19h_zen3", "amd64_fam19h_zen4"}) {
        EXPECT_EQ(code_of(zen, CounterSetName::tlb, "dtlb_walks"), 0xf045U) << zen;
        EXPECT_EQ(code_of(zen, CounterSetName::tlb, "dtlb_second_level_hits"), 0xf45U) << zen;
        EXPECT_EQ(code_of(zen, CounterSetName::numa, "fills_from_remote_memory"), 0x4043U) << zen;
    }
}

TEST(EventCatalog, the_raw_codes_of_newer_processors_are_those_that_libpfm4_has_for_their_forerunners) {
#if !defined(__x86_64__)
    GTEST_SKIP() << "libpfm4 encodes the processors of its own architecture; these are x86's";
#endif
    const auto expect_forerunner = [](const ProcessorIdentity& newer, const char* forerunner) {
        const EventTable& table = event_table_for(newer);
        int compared = 0;
        for (const CounterSetName set : {CounterSetName::tlb, CounterSetName::numa, CounterSetName::interrupts}) {
            for (const HardwareEvent& event : table.events(set)) {
                if (!event.encodings.empty()) {
                    EXPECT_EQ(encode_event(event.encodings.back())->config, code_of(forerunner, set, event.name))
                        << table.title << " " << event.name;
                    ++compared;
                }
            }
        }
        EXPECT_GE(compared, 9);
    };
    expect_forerunner({.vendor = "GenuineIntel", .family = 6, .model = 173}, "spr");
    expect_forerunner({.vendor = "AuthenticAMD", .family = 0x1a, .model = 2}, "amd64_fam19h_zen4");
}

TEST(EventCatalog, where_a_processor_cannot_count_something_the_table_says_so) {
    const HardwareEvent* flushes = find_event(event_table_for({.pmu = "spr"}), CounterSetName::tlb, "tlb_flushes");
    ASSERT_NE(flushes, nullptr);
    EXPECT_TRUE(flushes->encodings.empty());
    EXPECT_NE(flushes->meaning.find("Sapphire Rapids"), std::string_view::npos);
    const HardwareEvent* arm = find_event(event_table_for({.vendor = "ARM"}), CounterSetName::tlb, "tlb_flushes");
    ASSERT_NE(arm, nullptr);
    EXPECT_TRUE(arm->encodings.empty());
}

TEST(EventCatalog, a_processor_without_a_table_gets_the_generic_events) {
    EXPECT_THAT(std::string(event_table_for({.vendor = "SomeoneElse"}).title), testing::HasSubstr("without a table"));
    EXPECT_THAT(std::string(event_table_for({.vendor = "GenuineIntel", .family = 6, .model = 250}).title),
                testing::HasSubstr("without a table"));
    EXPECT_THAT(std::string(event_table_for({.vendor = "GenuineIntel", .family = 6, .model = 207}).title),
                testing::HasSubstr("Intel server newer"));
    EXPECT_THAT(std::string(event_table_for({.vendor = "AuthenticAMD", .family = 0x1a}).title),
                testing::HasSubstr("AMD Zen newer"));
    EXPECT_EQ(event_table_for({.pmu = "arm_n1"}).title, "Arm");
}

TEST(EventCatalog, reads_the_processors_identity_from_cpuinfo) {
    const auto intel = parse_processor_identity(
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R)\n");
    EXPECT_EQ(intel.vendor, "GenuineIntel");
    EXPECT_EQ(intel.family, 6U);
    EXPECT_EQ(intel.model, 143U);
    EXPECT_EQ(parse_processor_identity("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n").vendor, "ARM");
    EXPECT_EQ(parse_processor_identity("").vendor, "");
    EXPECT_EQ(parse_processor_identity("model\t\t:\n").model, 0U);
}

TEST(EventCatalog, an_encoding_gets_its_processors_prefix_unless_it_has_one) {
    EXPECT_EQ(qualified_encoding("TLB_FLUSHES:ALL", "amd64_fam19h_zen4"), "amd64_fam19h_zen4::TLB_FLUSHES:ALL");
    EXPECT_EQ(qualified_encoding("perf::CYCLES", "skx"), "perf::CYCLES");
    EXPECT_EQ(qualified_encoding("raw:0x5", "arm_n1"), "raw:0x5");
}

}  // namespace
}  // namespace page_map_lab
