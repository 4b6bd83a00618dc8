// SPDX-License-Identifier: GPL-2.0-only
//
// The model's words on their way to a person. The model knows groups only by
// letter and has seen no numbers: letters become names here, and a sentence
// that states a number of its own is dropped, because only code may state
// numbers. Sentences are let through one by one as they are completed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace llamux {

class Narration {
  public:
    // @group_names: name of group A, of group B, ...; untrusted.
    explicit Narration(std::vector<std::string> group_names);

    // Takes the next bytes of the answer; returns the text to show for the
    // sentences that they completed, maybe none.
    std::string feed(std::string_view bytes);

    // The rest, when the answer has ended.
    std::string finish();

    [[nodiscard]] int sentences_dropped() const { return dropped_; }

  private:
    std::string passed(std::string_view sentence);

    std::vector<std::string> group_names_;
    std::string pending_;
    int dropped_ = 0;
};

}  // namespace llamux
