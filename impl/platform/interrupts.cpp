#include "impl/platform/interrupts.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>

namespace page_map_lab {
namespace {

/// The next word of `line`, which is shortened by it; empty at its end.
std::string_view next_word(std::string_view& line) {
    const std::size_t from = std::min(line.find_first_not_of(" \t"), line.size());
    const std::size_t to = std::min(line.find_first_of(" \t", from), line.size());
    const std::string_view word = line.substr(from, to - from);
    line.remove_prefix(to);
    return word;
}

std::optional<std::uint64_t> number(std::string_view word) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (word.empty() || error != std::errc{} || end != word.data() + word.size()) {
        return std::nullopt;
    }
    return value;
}

/// The header names the processors that are on line; a column's place is not its number.
std::vector<unsigned> processors(std::string_view header) {
    std::vector<unsigned> found;
    for (std::string_view word = next_word(header); word.starts_with("CPU"); word = next_word(header)) {
        const auto cpu = number(word.substr(3));
        if (!cpu) {
            return {};
        }
        found.push_back(static_cast<unsigned>(*cpu));
    }
    return found;
}

std::string lower_case(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), [](unsigned char letter) { return std::tolower(letter); });
    return result;
}

}  // namespace

Result<InterruptSnapshot> InterruptSnapshot::take(const std::string& path) {
    std::ifstream file(path);
    if (!file) {
        return fail(ErrorCode::unavailable, path + ": cannot be read; mount procfs, or count by tracepoints", errno);
    }
    std::string text;
    try {  // not by a stream's operators: out of memory, they end the text early and say nothing
        text.assign(std::istreambuf_iterator<char>(file), {});
    } catch (const std::ios_base::failure&) {
        return fail(ErrorCode::io, path + ": cannot be read to its end; is it a file?");
    }
    auto snapshot = parse(text);
    if (!snapshot) {
        snapshot.error().message = path + ": " + snapshot.error().message;
    }
    return snapshot;
}

Result<InterruptSnapshot> InterruptSnapshot::parse(std::string_view text) {
    const std::size_t header_end = std::min(text.find('\n'), text.size());
    const std::vector<unsigned> cpus = processors(text.substr(0, header_end));
    if (cpus.empty()) {
        return fail(ErrorCode::malformed, "no line of processors at the top; is this /proc/interrupts?");
    }
    InterruptSnapshot snapshot;
    for (std::size_t from = header_end; from < text.size();) {
        const std::size_t to = std::min(text.find('\n', from + 1), text.size());
        std::string_view line = text.substr(from + 1, to - from - 1);
        from = to;
        std::string_view label = next_word(line);
        if (!label.ends_with(':')) {
            continue;
        }
        label.remove_suffix(1);
        if (std::ranges::find(rows, label) == rows.end()) {
            continue;
        }
        for (const unsigned cpu : cpus) {
            const auto count = number(next_word(line));
            if (!count) {
                return fail(ErrorCode::malformed, "row " + std::string(label) + " has fewer numbers than processors");
            }
            snapshot.rows_[std::string(label)][cpu] = *count;
        }
    }
    return snapshot;
}

InterruptSnapshot InterruptSnapshot::since(const InterruptSnapshot& earlier) const {
    InterruptSnapshot difference;
    for (const auto& [row, counts] : rows_) {
        for (const auto& [cpu, now] : counts) {
            // A processor that came on line in between is left out: its count before is unknown, not zero.
            if (const auto before = earlier.count(row, cpu)) {
                constexpr std::uint64_t wrap = std::uint64_t{1} << 32;
                difference.rows_[row][cpu] = now >= *before ? now - *before : now + wrap - *before;
            }
        }
    }
    return difference;
}

std::optional<std::uint64_t> InterruptSnapshot::count(std::string_view row, unsigned cpu) const {
    const auto counts = rows_.find(row);
    if (counts == rows_.end()) {
        return std::nullopt;
    }
    const auto found = counts->second.find(cpu);
    return found == counts->second.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::uint64_t> InterruptSnapshot::total(std::string_view row) const {
    const auto counts = rows_.find(row);
    if (counts == rows_.end()) {
        return std::nullopt;
    }
    std::uint64_t sum = 0;
    for (const auto& [cpu, count] : counts->second) {
        sum += count;
    }
    return sum;
}

std::vector<CounterReading> InterruptSnapshot::readings() const {
    std::vector<CounterReading> all;
    for (const std::string_view row : rows) {
        CounterReading reading{.name = "interrupts_" + lower_case(row),
                               .event = "/proc/interrupts:" + std::string(row)};
        reading.mode = CounterMode::kernel;
        const auto counts = rows_.find(row);
        if (counts == rows_.end()) {
            reading.scope = CounterScope::system;
            reading.why = "this kernel's /proc/interrupts has no row " + std::string(row);
            all.push_back(std::move(reading));
            continue;
        }
        reading.scope = CounterScope::cpu;
        reading.state = CounterState::ok;
        for (const auto& [cpu, count] : counts->second) {
            reading.cpu = cpu;
            reading.value = static_cast<double>(count);
            all.push_back(reading);
        }
    }
    return all;
}

}  // namespace page_map_lab
