// The parameters of a workload: the axes it sweeps, and one cell's point on them.
//
// Thread safety: plain values.
// Invariant: a Parameters keeps the order of its workload's axes, so that equal points have equal names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "impl/core/error.hpp"

namespace page_map_lab::bench {

/// A number or a word, as the command line gives it.
using ParameterValue = std::variant<std::uint64_t, std::string>;

std::string to_string(const ParameterValue& value);

/// One point of the sweep: what one cell is measured at.
class Parameters {
public:
    Parameters() = default;

    /// Appends a parameter that is not there yet. `in_name`: whether `name()` mentions it.
    void set(std::string_view name, ParameterValue value, bool in_name = true);
    bool has(std::string_view name) const;

    /// The value of a parameter that the workload declared; ends the program where it did not.
    std::uint64_t number(std::string_view name) const;
    const std::string& text(std::string_view name) const;

    const std::vector<std::pair<std::string, ParameterValue>>& values() const { return values_; }

    /// "pages:4096/pattern:uniform/threads:1".
    const std::string& name() const { return name_; }

    friend bool operator==(const Parameters&, const Parameters&) = default;

private:
    const ParameterValue& value(std::string_view name) const;
    std::vector<std::pair<std::string, ParameterValue>> values_;
    std::string name_;
};

/// One axis of a workload's sweep: the values at smoke size and at real size, and what else the user may ask for.
///
/// A number axis takes any list of numbers in [minimum, maximum] (`4096`, `4Ki`, `1..4`); a word axis takes `choices`
/// only. A list with one value stands for a parameter that is fixed unless the user sweeps it with --set.
struct ParameterAxis {
    std::string name;
    std::vector<ParameterValue> smoke;
    std::vector<ParameterValue> real;
    std::vector<std::string> choices{};  ///< words allowed; empty for a number axis
    std::uint64_t minimum = 1;
    std::uint64_t maximum = std::uint64_t{1} << 52;
    std::string real_text{};  ///< printed by --describe in place of `real`, for example "1..cpus"
    /// The value that a cell's name leaves out, so that a new parameter renames nothing.
    std::optional<ParameterValue> unnamed{};

    bool takes_words() const { return !choices.empty(); }

    /// A word axis whose sizes all sweep the same values; `choices` are `values` and then `more`.
    static ParameterAxis words(std::string name, std::vector<std::string> values, std::vector<std::string> more = {});
    /// A word axis that stays at its first choice, unnamed, unless the user sweeps it with --set.
    static ParameterAxis option(std::string name, std::vector<std::string> choices);
    /// A number axis that stays at `value`, unnamed, unless the user sweeps it with --set.
    static ParameterAxis option(std::string name, std::uint64_t value, std::uint64_t minimum, std::uint64_t maximum);
    /// A number axis.
    static ParameterAxis numbers(std::string name, std::vector<std::uint64_t> smoke, std::vector<std::uint64_t> real,
                                 std::uint64_t minimum = 1, std::uint64_t maximum = std::uint64_t{1} << 52);
    /// The axis "threads": 1 and 2 at smoke size (as far as there are CPUs), 1 to every CPU (doubling) at real size.
    static ParameterAxis threads();

    /// The values of a list such as "4096,256Ki" or "1..4" or "uniform,zipf".
    /// Errors: usage, naming the list and what is allowed.
    Result<std::vector<ParameterValue>> parse(std::string_view list) const;
};

/// Whether the axes "pages" and "threads" leave every thread a page of its own; for WorkloadDescription::possible.
/// Errors: usage.
Status a_page_for_each_thread(const Parameters& parameters);

}  // namespace page_map_lab::bench
