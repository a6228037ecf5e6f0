#include "impl/platform/counters_group.hpp"

#include <linux/perf_event.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace page_map_lab {

EventGroup::EventGroup(EventGroup&& other) noexcept
    : system_(other.system_), target_(other.target_), descriptors_(other.descriptors_), count_(std::exchange(other.count_, 0)) {}

EventGroup& EventGroup::operator=(EventGroup&& other) noexcept {
    if (this != &other) {
        close();
        system_ = other.system_;
        target_ = other.target_;
        descriptors_ = other.descriptors_;
        count_ = std::exchange(other.count_, 0);
    }
    return *this;
}

EventGroup::~EventGroup() { close(); }

void EventGroup::close() noexcept {
    // The leader last: a group without its leader falls apart into events that count on their own.
    while (count_ != 0) {
        system_->close_event(descriptors_[--count_]);
    }
}

int EventGroup::add(perf_event_attr attributes, const char* filter) noexcept {
    if (count_ == capacity) {
        return -ENOSPC;
    }
    const bool leads = count_ == 0;
    attributes.size = sizeof attributes;
    // Only the leader starts disabled: the others follow it.
    attributes.disabled = leads ? 1 : 0;
    attributes.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
    const int descriptor =
        system_->open_event(attributes, target_.process, target_.cpu, leads ? -1 : descriptors_.front());
    if (descriptor < 0) {
        return descriptor;
    }
    if (*filter != '\0') {
        const int outcome = system_->control_event(descriptor, PERF_EVENT_IOC_SET_FILTER, filter);
        if (outcome < 0) {
            system_->close_event(descriptor);
            return outcome;
        }
    }
    descriptors_[count_++] = descriptor;
    return 0;
}

void EventGroup::enable() noexcept {
    if (count_ != 0) {
        system_->control_event(descriptors_.front(), PERF_EVENT_IOC_ENABLE, nullptr);
    }
}

void EventGroup::disable() noexcept {
    if (count_ != 0) {
        system_->control_event(descriptors_.front(), PERF_EVENT_IOC_DISABLE, nullptr);
    }
}

bool EventGroup::read(std::span<std::uint64_t> values, GroupTimes& times) const noexcept {
    struct Answer {
        std::uint64_t count;
        GroupTimes times;
        std::array<std::uint64_t, capacity> values;
    } answer;
    if (count_ == 0 || values.size() < count_) {
        return false;
    }
    const std::size_t expected = (3 + count_) * sizeof(std::uint64_t);
    const long got = system_->read_event(descriptors_.front(), &answer, expected);
    if (got != static_cast<long>(expected) || answer.count != count_) {
        return false;
    }
    times = answer.times;
    std::copy_n(answer.values.begin(), count_, values.begin());
    return true;
}

}  // namespace page_map_lab
