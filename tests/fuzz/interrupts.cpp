// The text of /proc/interrupts, and differences of two of them.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "impl/platform/interrupts.hpp"
#include "tests/fuzz/expectations.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using page_map_lab::InterruptSnapshot;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto before = InterruptSnapshot::parse(text.substr(0, size / 2));
    const auto whole = InterruptSnapshot::parse(text);
    if (!whole) {
        page_map_lab::fuzz::expect_message(whole.error());
        return 0;
    }
    page_map_lab::fuzz::expect(whole->readings().size() >= InterruptSnapshot::rows.size(), "a row without a reading");
    if (before) {
        whole->since(*before).readings();
        before->since(*whole).readings();
    }
    return 0;
}
