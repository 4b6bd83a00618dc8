// SPDX-License-Identifier: GPL-2.0-only
// Catches: a temperature that is not the one the outcomes came from, and a
// calibration error that is zero for a model which is too sure, or not zero for
// one whose probabilities are frequencies.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "calibration.hpp"

namespace {

using namespace llamux::pilot;

// Rankings of three candidates whose outcomes are drawn at this temperature.
std::vector<Ranking> rankings(double temperature, int n) {
    std::mt19937 random(1);
    std::uniform_real_distribution<double> score(-2, 0);
    std::vector<Ranking> out;
    for (int i = 0; i < n; ++i) {
        Ranking ranking{{score(random), score(random), score(random)}, 0};
        const auto p = probabilities(ranking.nats, temperature);
        std::discrete_distribution<std::size_t> outcome(p.begin(), p.end());
        ranking.right = outcome(random);
        out.push_back(std::move(ranking));
    }
    return out;
}

TEST(Calibration, ProbabilitiesAreASoftmax) {
    const auto p = probabilities({0, std::log(0.5)}, 1);
    EXPECT_NEAR(p[0], 2.0 / 3, 1e-12);
    EXPECT_NEAR(p[1], 1.0 / 3, 1e-12);
    EXPECT_NEAR(probabilities({0, std::log(0.5)}, 0.5)[0], 0.8, 1e-12);
}

TEST(Calibration, FindsTheTemperatureOfTheOutcomes) {
    EXPECT_NEAR(fit_temperature(rankings(0.25, 4000)), 0.25, 0.025);
    EXPECT_EQ(fit_temperature({}), 1);
}

TEST(Calibration, ErrorIsSmallOnlyAtThatTemperature) {
    const auto drawn = rankings(0.25, 4000);
    EXPECT_LT(reliability(drawn, 0.25).error, 0.03);
    EXPECT_GT(reliability(drawn, 0.05).error, 0.1) << "too sure";
    EXPECT_GT(reliability(drawn, 2).error, 0.1) << "not sure enough";
}

TEST(Calibration, BinsHoldAllRankings) {
    const auto drawn = rankings(0.25, 500);
    std::size_t n = 0;
    for (const ReliabilityBin& bin : reliability(drawn, 0.25).bins) {
        n += bin.n;
        EXPECT_LE(bin.accuracy, 1);
    }
    EXPECT_EQ(n, 500u);
    EXPECT_NE(table(reliability(drawn, 0.25)).find("expected calibration error"),
              std::string::npos);
}

}  // namespace
