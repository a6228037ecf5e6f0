// Starts the nursery of worker processes before the first test, and so before the first thread. To be included by every
// test file that uses workers.
#pragma once

#include <gtest/gtest.h>

#include "impl/platform/nursery.hpp"

namespace page_map_lab::testing {

class NurseryEnvironment final : public ::testing::Environment {
public:
    void SetUp() override {
        const Status started = Nursery::start();
        EXPECT_TRUE(started) << started.error().text();
    }
};

inline const auto* const nursery_environment = ::testing::AddGlobalTestEnvironment(new NurseryEnvironment);

}  // namespace page_map_lab::testing
