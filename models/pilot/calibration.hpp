// SPDX-License-Identifier: GPL-2.0-only
//
// How much a model's probabilities mean: temperature, reliability, expected
// calibration error (Guo et al., "On Calibration of Modern Neural Networks", 2017).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace llamux::pilot {

// One ranking: scores in nats per token, and which candidate was right.
struct Ranking {
    std::vector<double> nats;
    std::size_t right = 0;
};

// Of all rankings whose best candidate has a probability within a tenth.
struct ReliabilityBin {
    std::size_t n = 0;
    double confidence = 0;  // mean probability of the best candidate
    double accuracy = 0;    // how often it was right
};

struct Reliability {
    std::vector<ReliabilityBin> bins;  // 0 to 0.1, 0.1 to 0.2, ...
    double error = 0;                  // expected calibration error, 0 to 1
};

// Softmax of the scores at a temperature in nats per token.
std::vector<double> probabilities(const std::vector<double>& nats, double temperature);

// The temperature, in steps of a thousandth from 0.001 to 2, with the least mean negative
// log-likelihood of what was right. 1 for no rankings.
double fit_temperature(const std::vector<Ranking>& rankings);

Reliability reliability(const std::vector<Ranking>& rankings, double temperature);

// The table as text, a line for each bin that has rankings.
std::string table(const Reliability& reliability);

}  // namespace llamux::pilot
