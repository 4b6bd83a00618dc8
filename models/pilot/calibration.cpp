// SPDX-License-Identifier: GPL-2.0-only
//
// See calibration.hpp.
#include "calibration.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace llamux::pilot {
namespace {

constexpr std::size_t kBins = 10;

double mean_loss(const std::vector<Ranking>& rankings, double temperature) {
    constexpr double kLeast = 1e-12;
    double sum = 0;
    for (const Ranking& ranking : rankings) {
        const double p = probabilities(ranking.nats, temperature)[ranking.right];
        sum -= std::log(std::max(p, kLeast));
    }
    return sum / static_cast<double>(rankings.size());
}

}  // namespace

std::vector<double> probabilities(const std::vector<double>& nats, double temperature) {
    const double most = *std::max_element(nats.begin(), nats.end());
    std::vector<double> out;
    double sum = 0;
    for (const double score : nats) {
        out.push_back(std::exp((score - most) / temperature));
        sum += out.back();
    }
    for (double& p : out) {
        p /= sum;
    }
    return out;
}

double fit_temperature(const std::vector<Ranking>& rankings) {
    if (rankings.empty()) {
        return 1;
    }
    double best = 1;
    double least = mean_loss(rankings, best);
    for (int milli = 1; milli <= 2000; ++milli) {
        const double temperature = milli / 1000.0;
        const double loss = mean_loss(rankings, temperature);
        if (loss < least) {
            least = loss;
            best = temperature;
        }
    }
    return best;
}

Reliability reliability(const std::vector<Ranking>& rankings, double temperature) {
    Reliability out;
    out.bins.resize(kBins);
    for (const Ranking& ranking : rankings) {
        const auto p = probabilities(ranking.nats, temperature);
        const auto best = std::max_element(p.begin(), p.end());
        ReliabilityBin& bin =
            out.bins[std::min(kBins - 1, static_cast<std::size_t>(*best * kBins))];
        bin.n++;
        bin.confidence += *best;
        bin.accuracy += static_cast<std::size_t>(best - p.begin()) == ranking.right ? 1 : 0;
    }
    for (ReliabilityBin& bin : out.bins) {
        if (bin.n > 0) {
            const auto n = static_cast<double>(bin.n);
            out.error +=
                std::abs(bin.confidence - bin.accuracy) / static_cast<double>(rankings.size());
            bin.confidence /= n;
            bin.accuracy /= n;
        }
    }
    return out;
}

std::string table(const Reliability& reliability) {
    std::string text = "probability  rankings  mean probability  right\n";
    for (std::size_t i = 0; i < reliability.bins.size(); ++i) {
        const ReliabilityBin& bin = reliability.bins[i];
        if (bin.n > 0) {
            char line[96];
            std::snprintf(line, sizeof(line), "%3zu to %3zu %%  %8zu  %14.1f %%  %.1f %%\n", 10 * i,
                          10 * (i + 1), bin.n, 100 * bin.confidence, 100 * bin.accuracy);
            text += line;
        }
    }
    char line[96];
    std::snprintf(line, sizeof(line), "expected calibration error %.3f\n", reliability.error);
    return text + line;
}

}  // namespace llamux::pilot
