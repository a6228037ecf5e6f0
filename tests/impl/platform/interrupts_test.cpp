#include "impl/platform/interrupts.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace page_map_lab {
namespace {

// A processor is off line: the second column is processor 2.
constexpr std::string_view before_text =
    "           CPU0       CPU2       \n"
    "  9:          0          0   IO-APIC   9-fasteoi   acpi\n"
    "LOC:      18592      19484   Local timer interrupts\n"
    "RES:       9202       6710   Rescheduling interrupts\n"
    "CAL:      44640 4294967290   Function call interrupts\n"
    "TLB:       1902       1448   TLB shootdowns\n"
    "ERR:          0\n";
constexpr std::string_view after_text =
    "           CPU0       CPU2       \n"
    "LOC:      18593      19486   Local timer interrupts\n"
    "RES:       9202       6713   Rescheduling interrupts\n"
    "CAL:      44650          4   Function call interrupts\n"
    "TLB:       1907       1448   TLB shootdowns\n";

TEST(InterruptSnapshot, counts_each_row_by_the_processors_number_and_not_its_column) {
    const auto snapshot = InterruptSnapshot::parse(before_text);
    ASSERT_TRUE(snapshot) << snapshot.error().text();
    EXPECT_EQ(snapshot->count("TLB", 0), 1902U);
    EXPECT_EQ(snapshot->count("TLB", 2), 1448U);
    EXPECT_EQ(snapshot->count("TLB", 1), std::nullopt);
    EXPECT_EQ(snapshot->total("RES"), 9202U + 6710U);
    EXPECT_EQ(snapshot->total("NMI"), std::nullopt);
}

TEST(InterruptSnapshot, the_difference_sees_through_a_wrap_of_the_kernels_counters) {
    const auto difference =
        InterruptSnapshot::parse(after_text)->since(*InterruptSnapshot::parse(before_text));
    EXPECT_EQ(difference.count("TLB", 0), 5U);
    EXPECT_EQ(difference.count("TLB", 2), 0U);
    EXPECT_EQ(difference.count("CAL", 0), 10U);
    EXPECT_EQ(difference.count("CAL", 2), 10U);
    EXPECT_EQ(difference.total("LOC"), 3U);
}

TEST(InterruptSnapshot, a_processor_that_came_on_line_in_between_is_left_out) {
    const auto earlier = InterruptSnapshot::parse("  CPU0\nTLB: 5 TLB shootdowns\n");
    const auto later = InterruptSnapshot::parse("  CPU0 CPU1\nTLB: 6 900 TLB shootdowns\n");
    const auto difference = later->since(*earlier);
    EXPECT_EQ(difference.count("TLB", 0), 1U);
    EXPECT_EQ(difference.count("TLB", 1), std::nullopt);
}

TEST(InterruptSnapshot, a_row_that_the_kernel_lacks_is_absent_with_a_reason_and_not_zero) {
    const auto snapshot = InterruptSnapshot::parse("  CPU0 CPU1\nIPI0: 5 6 Rescheduling interrupts\nCAL: 1 2 calls\n");
    ASSERT_TRUE(snapshot) << snapshot.error().text();
    const auto readings = snapshot->readings();
    const CounterReading* shootdowns = find_reading(readings, "interrupts_tlb");
    ASSERT_NE(shootdowns, nullptr);
    EXPECT_EQ(shootdowns->state, CounterState::absent);
    EXPECT_EQ(shootdowns->value, std::nullopt);
    EXPECT_NE(shootdowns->why, "");
    const CounterReading* calls = find_reading(readings, "interrupts_cal");
    ASSERT_NE(calls, nullptr);
    EXPECT_EQ(calls->state, CounterState::ok);
    EXPECT_EQ(calls->value, 1.0);
    EXPECT_EQ(calls->cpu, 0U);
}

TEST(InterruptSnapshot, refuses_what_is_no_list_of_interrupts) {
    for (const std::string_view text : {"", "nonsense\n", "CPUx CPU1\nTLB: 1 2\n"}) {
        const auto snapshot = InterruptSnapshot::parse(text);
        ASSERT_FALSE(snapshot) << text;
        EXPECT_EQ(snapshot.error().code, ErrorCode::malformed);
    }
    const auto cut_short = InterruptSnapshot::parse("  CPU0 CPU1\nTLB: 1\n");
    ASSERT_FALSE(cut_short);
    EXPECT_NE(cut_short.error().text().find("TLB"), std::string::npos);
}

TEST(InterruptSnapshot, a_file_that_is_not_there_is_unavailable_and_named) {
    const auto snapshot = InterruptSnapshot::take("/no/such/interrupts");
    ASSERT_FALSE(snapshot);
    EXPECT_EQ(snapshot.error().code, ErrorCode::unavailable);
    EXPECT_NE(snapshot.error().text().find("/no/such/interrupts"), std::string::npos);
}

TEST(InterruptSnapshot, a_file_whose_reading_fails_is_an_error_that_names_it) {
    const auto snapshot = InterruptSnapshot::take("/proc");  // a folder can be opened, and not be read
    ASSERT_FALSE(snapshot);
    EXPECT_EQ(snapshot.error().code, ErrorCode::io);
    EXPECT_NE(snapshot.error().text().find("/proc: "), std::string::npos);
}

TEST(InterruptSnapshot, reads_this_machine) {
    if (!std::filesystem::exists("/proc/interrupts")) {
        GTEST_SKIP() << "no /proc/interrupts here: mount procfs";
    }
    const auto earlier = InterruptSnapshot::take();
    ASSERT_TRUE(earlier) << earlier.error().text();
    const auto later = InterruptSnapshot::take();
    ASSERT_TRUE(later) << later.error().text();
    EXPECT_EQ(later->since(*earlier).readings().size(), later->readings().size());
}

}  // namespace
}  // namespace page_map_lab
