// SPDX-License-Identifier: GPL-2.0-only
//
// See json.hpp. Field names are documented in docs/AGENT.md. Values that mean
// "unknown" or "no limit" are written as the words, not as huge numbers.
#include "kernel/json.hpp"

#include <cerrno>

#include "kernel/json_reader.hpp"
#include "llamux/telemetry.h"

namespace llamux {
namespace {

Result<Settings> settings_from_json(const Json& json) {
    Settings settings;
    for (const Json& item : json) {
        JsonReader reader(item);
        Setting setting{reader.string("file"), reader.string("value")};
        if (reader.has("unit")) {
            JsonReader unit(reader.object("unit"));
            setting.unit = reader.take(
                unit.finish(UnitValue{unit.number("value"), unit.boolean("at_run_time")}), "unit");
        }
        Result<Setting> checked = reader.finish(std::move(setting));
        if (!checked) {
            return checked.error();
        }
        settings.push_back(std::move(*checked));
    }
    return settings;
}

Result<Evidence> evidence_from_json(const Json& json) {
    JsonReader reader(json);
    Evidence evidence;
    const std::string name = reader.string("source");
    for (std::uint32_t source = 0; source < LLAMUX_N_SOURCES; source++) {
        if (source_row(source).name == name) {
            evidence.source = source;
        }
    }
    evidence.cgroup_path = reader.string("cgroup");
    evidence.value = reader.number("value");
    evidence.normal = reader.number("normal");
    evidence.threshold = reader.number("threshold");
    return reader.finish(std::move(evidence));
}

std::uint32_t cause_of(JsonReader& reader) {
    const std::string name = reader.string("cause");
    for (std::uint32_t cause = 0; cause < LLAMUX_N_CAUSES; cause++) {
        if (cause_name(cause) == name) {
            return cause;
        }
    }
    return LLAMUX_CAUSE_NONE;
}

Result<Fact> fact_from_json(const Json& json) {
    JsonReader reader(json);
    Fact fact;
    fact.cause = cause_of(reader);
    fact.level = reader.small_number("level");
    fact.victim_id = reader.number("victim_id");
    fact.culprit_id = reader.number("culprit_id");
    fact.victim_path = reader.string("victim");
    fact.culprit_path = reader.string("culprit");
    for (const Json& item : reader.array("evidence")) {
        fact.evidence.push_back(reader.take(evidence_from_json(item), "evidence"));
    }
    return reader.finish(std::move(fact));
}

std::uint32_t kind_of(JsonReader& reader) {
    const std::string knob = reader.string("knob");
    if (knob.empty()) {
        return LLAMUX_ACTION_NONE;
    }
    const ActionRow* row = action_row_of_knob(knob);
    if (!row) {
        reader.fail("'" + knob + "' is no knob of the catalogue");
        return LLAMUX_ACTION_NONE;
    }
    return row->kind;
}

std::uint32_t direction_of(JsonReader& reader) {
    const std::string word = reader.string("direction");
    for (const std::uint32_t direction : {LLAMUX_KEEP, LLAMUX_LOWER, LLAMUX_RAISE}) {
        if (direction_word(direction) == word) {
            return direction;
        }
    }
    reader.fail("'" + word + "' is no direction");
    return LLAMUX_KEEP;
}

Result<Outcomes> outcomes_from_json(const Json& json) {
    JsonReader reader(json);
    const Outcomes outcomes{reader.small_number("tried"), reader.small_number("helped"),
                            reader.small_number("worse")};
    if (outcomes.tried > kMostTries || outcomes.helped > outcomes.tried ||
        outcomes.worse > outcomes.tried - outcomes.helped) {
        reader.fail("impossible counts");
    }
    return reader.finish(outcomes);
}

Result<Candidate> candidate_from_json(const Json& json) {
    JsonReader reader(json);
    Candidate candidate;
    candidate.kind = kind_of(reader);
    candidate.direction = direction_of(reader);
    candidate.cgroup_path = reader.string("cgroup");
    candidate.cgroup_id = reader.number("cgroup_id");
    candidate.value_old = reader.number("value_old");
    candidate.value_new = reader.number("value_new");
    candidate.score = static_cast<std::int32_t>(reader.signed_number("score"));
    candidate.probability_permille = reader.small_number("probability_permille");
    candidate.phrase = reader.string("phrase");
    if (reader.has("here")) {  // not in recordings of older agents
        candidate.here = reader.take(outcomes_from_json(reader.object("here")), "here");
    }
    return reader.finish(std::move(candidate));
}

Result<Plan> plan_from_json(const Json& json) {
    JsonReader reader(json);
    Plan plan;
    plan.id = reader.string("id");
    plan.target.kind = static_cast<llamux_action_kind>(kind_of(reader));
    plan.target.cgroup_path = reader.string("cgroup");
    plan.target.cgroup_id = reader.number("cgroup_id");
    plan.direction = direction_of(reader);
    plan.value_old = reader.number("value_old");
    plan.value_new = reader.number("value_new");
    plan.old_settings = reader.take(settings_from_json(reader.array("old")), "old");
    plan.new_settings = reader.take(settings_from_json(reader.array("new")), "new");
    plan.reversible = reader.boolean("reversible");
    plan.fact = reader.take(fact_from_json(reader.object("fact")), "fact");
    plan.goal = reader.has("goal") ? reader.string("goal") : "";
    if (reader.has("client_pid")) {
        plan.client = Owner{reader.signed_number("client_pid"), reader.number("client_start")};
    }
    if (plan.target.kind == LLAMUX_ACTION_NONE) {
        reader.fail("a plan without a knob");
    }
    return reader.finish(std::move(plan));
}

Result<Effect> effect_from_json(const Json& json) {
    JsonReader reader(json);
    Effect effect;
    const std::string verdict = reader.string("verdict");
    for (const Verdict known : {Verdict::kImproved, Verdict::kNoEffect, Verdict::kWorse}) {
        if (verdict_word(known) == verdict) {
            effect.verdict = known;
        }
    }
    const std::string metric = reader.string("metric");
    for (std::size_t i = 0; i < kMetrics; i++) {
        if (metric_row(static_cast<Metric>(i)).name == metric) {
            effect.metric = static_cast<Metric>(i);
        }
    }
    effect.cgroup_id = reader.number("cgroup_id");
    effect.before = reader.real("before");
    effect.after = reader.real("after");
    if (reader.has("returned")) {
        effect.returned = reader.real("returned");
    }
    effect.margin = reader.real("margin");
    effect.windows_before = static_cast<int>(reader.small_number("windows_before"));
    effect.windows_after = static_cast<int>(reader.small_number("windows_after"));
    effect.why = reader.string("why");
    return reader.finish(std::move(effect));
}

std::string knob_of(std::uint32_t kind) {
    const ActionRow* row = action_row(kind);
    return row && kind != LLAMUX_ACTION_NONE ? row->knob() : std::string();
}

}  // namespace

Json number_to_json(std::uint64_t value) {
    if (value == LLAMUX_UNKNOWN) {
        return "unknown";
    }
    if (value == LLAMUX_NO_LIMIT) {
        return "max";
    }
    return value;
}

Json to_json(const Settings& settings) {
    Json list = Json::array();
    for (const Setting& setting : settings) {
        Json item = {{"file", setting.file}, {"value", setting.value}};
        if (setting.unit) {
            item["unit"] = {{"value", setting.unit->value},
                            {"at_run_time", setting.unit->at_run_time}};
        }
        list.push_back(std::move(item));
    }
    return list;
}

Json to_json(const Evidence& evidence) {
    return {{"source", source_row(evidence.source).name},
            {"cgroup", evidence.cgroup_path},
            {"value", number_to_json(evidence.value)},
            {"unit", source_row(evidence.source).unit},
            {"normal", number_to_json(evidence.normal)},
            {"threshold", number_to_json(evidence.threshold)}};
}

Json to_json(const Fact& fact) {
    Json evidence = Json::array();
    for (const Evidence& item : fact.evidence) {
        evidence.push_back(to_json(item));
    }
    return {{"cause", cause_name(fact.cause)}, {"level", fact.level},
            {"victim", fact.victim_path},      {"victim_id", fact.victim_id},
            {"culprit", fact.culprit_path},    {"culprit_id", fact.culprit_id},
            {"evidence", std::move(evidence)}};
}

Json to_json(const Outcomes& outcomes) {
    return {{"tried", outcomes.tried},
            {"helped", outcomes.helped},
            {"worse", outcomes.worse},
            {"weight_permille", outcomes.weight_permille()}};
}

Json to_json(const Lesson& lesson) {
    return {{"cause", cause_name(lesson.cause)},
            {"knob", knob_of(lesson.kind)},
            {"direction", direction_word(lesson.direction)},
            {"outcomes", to_json(lesson.outcomes)},
            {"wall_ns", lesson.wall_ns}};
}

Json to_json(const Candidate& candidate) {
    return {{"knob", knob_of(candidate.kind)},
            {"direction", direction_word(candidate.direction)},
            {"cgroup", candidate.cgroup_path},
            {"cgroup_id", candidate.cgroup_id},
            {"value_old", number_to_json(candidate.value_old)},
            {"value_new", number_to_json(candidate.value_new)},
            {"score", candidate.score},
            {"probability_permille", candidate.probability_permille},
            {"phrase", candidate.phrase},
            {"here", to_json(candidate.here)}};
}

Json to_json(const Suggestion& suggestion) {
    Json facts = Json::array();
    for (const Fact& fact : suggestion.facts) {
        facts.push_back(to_json(fact));
    }
    Json candidates = Json::array();
    for (const Candidate& candidate : suggestion.candidates) {
        candidates.push_back(to_json(candidate));
    }
    return {{"id", suggestion.id},
            {"wall_ns", suggestion.wall_ns},
            {"boot_ns", suggestion.boot_ns},
            {"snapshot_sequence", suggestion.snapshot_sequence},
            {"window_ns", suggestion.window_ns},
            {"ranked_by", ranked_by_word(suggestion.ranked_by)},
            {"margin_permille", suggestion.margin_permille},
            {"n_prompt_tokens", suggestion.n_prompt_tokens},
            {"detect_ns", suggestion.detect_ns},
            {"rank_ns", suggestion.rank_ns},
            {"facts", std::move(facts)},
            {"candidates", std::move(candidates)},
            {"chosen", suggestion.chosen},
            {"prompt", suggestion.prompt}};
}

Json to_json(const Plan& plan) {
    Json json = {{"id", plan.id},
                 {"knob", knob_of(plan.target.kind)},
                 {"cgroup", plan.target.cgroup_path},
                 {"cgroup_id", plan.target.cgroup_id},
                 {"direction", direction_word(plan.direction)},
                 {"value_old", number_to_json(plan.value_old)},
                 {"value_new", number_to_json(plan.value_new)},
                 {"old", to_json(plan.old_settings)},
                 {"new", to_json(plan.new_settings)},
                 {"reversible", plan.reversible},
                 {"fact", to_json(plan.fact)}};
    if (!plan.goal.empty()) {
        json["goal"] = plan.goal;
    }
    if (plan.client) {
        json["client_pid"] = plan.client->pid;
        json["client_start"] = plan.client->start_ticks;
    }
    return json;
}

Json to_json(const Effect& effect) {
    Json json = {{"verdict", verdict_word(effect.verdict)},
                 {"metric", metric_row(effect.metric).name},
                 {"unit", metric_row(effect.metric).unit},
                 {"cgroup_id", effect.cgroup_id},
                 {"before", effect.before},
                 {"after", effect.after},
                 {"margin", effect.margin},
                 {"windows_before", effect.windows_before},
                 {"windows_after", effect.windows_after},
                 {"why", effect.why}};
    if (effect.returned) {
        json["returned"] = *effect.returned;
    }
    return json;
}

Json to_json(const Entry& entry) {
    Json json = {{"seq", entry.seq},
                 {"change", entry.change},
                 {"type", entry_type_word(entry.type)},
                 {"wall_ns", entry.wall_ns},
                 {"boot_ns", entry.boot_ns},
                 {"boot_id", entry.boot_id},
                 {"pid", entry.owner.pid},
                 {"pid_start", entry.owner.start_ticks},
                 {"why", entry.why}};
    if (entry.plan) {
        json["plan"] = to_json(*entry.plan);
        json["deadline_boot_ns"] = entry.deadline_boot_ns;
    }
    if (!entry.found.empty()) {
        json["found"] = to_json(entry.found);
    }
    if (entry.effect) {
        json["effect"] = to_json(*entry.effect);
    }
    if (entry.target) {
        json["knob"] = knob_of(entry.target->kind);
        json["cgroup"] = entry.target->cgroup_path;
    }
    if (!entry.by.empty()) {
        json["by"] = entry.by;
    }
    return json;
}

Json to_json(const Hold& hold) {
    return {{"knob", knob_of(hold.target.kind)},
            {"cgroup", hold.target.cgroup_path},
            {"reason", hold_reason_word(hold.reason)},
            {"by", hold.by},
            {"why", hold.why},
            {"wall_ns", hold.wall_ns}};
}

Json to_json(const Change& change) {
    Json json = {{"change", change.number},
                 {"state", entry_type_word(change.state)},
                 {"plan", to_json(change.plan)},
                 {"planned_wall_ns", change.planned_wall_ns},
                 {"last_wall_ns", change.last_wall_ns},
                 {"boot_id", change.boot_id},
                 {"why", change.why}};
    if (!change.found.empty()) {
        json["found"] = to_json(change.found);
    }
    if (change.effect) {
        json["effect"] = to_json(*change.effect);
    }
    return json;
}

Result<Suggestion> suggestion_from_json(const Json& json) {
    JsonReader reader(json);
    Suggestion suggestion;
    suggestion.id = reader.string("id");
    suggestion.wall_ns = reader.number("wall_ns");
    suggestion.boot_ns = reader.number("boot_ns");
    suggestion.snapshot_sequence = reader.number("snapshot_sequence");
    suggestion.window_ns = reader.number("window_ns");
    const std::string ranked_by = reader.string("ranked_by");
    for (const std::uint32_t by : {LLAMUX_RANKED_BY_RULES, LLAMUX_RANKED_BY_MODEL}) {
        if (ranked_by_word(by) == ranked_by) {
            suggestion.ranked_by = by;
        }
    }
    suggestion.margin_permille = reader.small_number("margin_permille");
    suggestion.n_prompt_tokens = reader.small_number("n_prompt_tokens");
    suggestion.detect_ns = reader.number("detect_ns");
    suggestion.rank_ns = reader.number("rank_ns");
    for (const Json& item : reader.array("facts")) {
        suggestion.facts.push_back(reader.take(fact_from_json(item), "facts"));
    }
    for (const Json& item : reader.array("candidates")) {
        suggestion.candidates.push_back(reader.take(candidate_from_json(item), "candidates"));
    }
    suggestion.chosen = reader.small_number("chosen");
    suggestion.prompt = reader.string("prompt");
    return reader.finish(std::move(suggestion));
}

Result<Lesson> lesson_from_json(const Json& json) {
    JsonReader reader(json);
    Lesson lesson;
    lesson.cause = cause_of(reader);
    lesson.kind = kind_of(reader);
    lesson.direction = direction_of(reader);
    lesson.outcomes = reader.take(outcomes_from_json(reader.object("outcomes")), "outcomes");
    lesson.wall_ns = reader.number("wall_ns");
    return reader.finish(lesson);
}

Result<Entry> entry_from_json(const Json& json) {
    JsonReader reader(json);
    Entry entry;
    entry.seq = reader.number("seq");
    entry.change = reader.number("change");
    const std::string word = reader.string("type");
    const std::optional<EntryType> type = entry_type_of(word);
    if (type) {
        entry.type = *type;
    } else {
        reader.fail("'" + word + "' is no type of entry");
    }
    entry.wall_ns = reader.number("wall_ns");
    entry.boot_ns = reader.number("boot_ns");
    entry.boot_id = reader.string("boot_id");
    entry.owner.pid = reader.signed_number("pid");
    entry.owner.start_ticks = reader.number("pid_start");
    entry.why = reader.string("why");
    if (type == EntryType::kPlanned) {
        entry.plan = reader.take(plan_from_json(reader.object("plan")), "plan");
        entry.deadline_boot_ns = reader.number("deadline_boot_ns");
    }
    if (type && concerns_a_knob(*type)) {
        entry.target = KnobTarget{static_cast<llamux_action_kind>(kind_of(reader)),
                                  reader.string("cgroup"), 0};
        if (entry.target->kind == LLAMUX_ACTION_NONE) {
            reader.fail("no knob");
        }
    }
    if (reader.has("by")) {
        entry.by = reader.string("by");
    }
    if (reader.has("found")) {
        entry.found = reader.take(settings_from_json(reader.array("found")), "found");
    }
    if (reader.has("effect")) {
        entry.effect = reader.take(effect_from_json(reader.object("effect")), "effect");
    }
    return reader.finish(std::move(entry));
}

Result<Json> parse_json(std::string_view text) {
    Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) {
        return Error{EBADMSG, "not JSON"};
    }
    return json;
}

std::string dump_line(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace llamux
