#include "client/resolved.h"

#include <cstdio>

#include "client/text.h"
#include "flow/catalog.h"
#include "flow/idle_keys.h"
#include "spec/toml_text.h"

namespace flowloom {
namespace {

using nlohmann::json;

// `label` is where a section of this document says that a key took its default.
std::vector<ResolvedKey> resolve(const Section& section, const std::string& label, const std::vector<Key>& keys) {
  std::vector<ResolvedKey> resolved;
  for (const Key& key : keys) {
    ResolvedKey out{key.name, {}, true, key.sentence, {}};
    if (section.has(key.name)) {
      out.value = section.values().at(key.name);
      const bool table = key.type == KeyType::kTable;
      if (table) out.keys = resolve(section.table(key.name), label + " " + key.name, key.keys);
      out.by_default = section.where(key.name) == label + " " + key.name;
      for (const ResolvedKey& inner : out.keys) out.by_default = out.by_default && inner.by_default;
    }
    resolved.push_back(std::move(out));
  }
  return resolved;
}

std::vector<Key> kind_keys(const std::vector<Kind>& kinds, const Section& section) {
  const Kind& kind = find_kind(kinds, section.text("kind"));
  std::vector<Key> keys = kind.keys;
  keys.insert(keys.begin(), Key{.name = "kind", .type = KeyType::kText, .sentence = kind.sentence, .required = true});
  return keys;
}

std::string comment(const ResolvedKey& key) {
  return std::string(key.value.is_null() ? "(not set) " : key.by_default ? "(default) " : "") + key.sentence;
}

void add_lines(std::vector<std::string>& lines, const std::vector<ResolvedKey>& keys) {
  constexpr std::size_t kWidest = 30;
  std::size_t width = 0;
  const auto assignment = [](const ResolvedKey& key) {
    return key.value.is_null() ? "# " + key.name + " =" : key.name + " = " + toml_text(key.value);
  };
  for (const ResolvedKey& key : keys) {
    if (const std::size_t own = display_width(assignment(key)); own <= kWidest) width = std::max(width, own);
  }
  for (const ResolvedKey& key : keys) {
    lines.push_back(padded(assignment(key), width) + "  # " + comment(key));
    for (const ResolvedKey& inner : key.keys) {
      lines.push_back(std::string(width, ' ') + "  #   " + inner.name +
                      (inner.value.is_null() ? "" : " = " + toml_text(inner.value)) + ": " + comment(inner));
    }
  }
}

json keys_json(const std::vector<ResolvedKey>& keys) {
  json out = json::object();
  for (const ResolvedKey& key : keys) {
    out[key.name] = {
        {"value", key.value}, {"default", key.by_default && !key.value.is_null()}, {"meaning", key.sentence}};
    if (!key.keys.empty()) out[key.name]["keys"] = keys_json(key.keys);
  }
  return out;
}

std::vector<ResolvedVersion> versions_of(const RunSpec& run, const Section& chain) {
  std::vector<ResolvedVersion> versions;
  for (std::size_t i = 0; i < run.chain.versions.size(); ++i) {
    const ScheduledVersion& entry = run.chain.versions[i];
    const std::uint64_t wanted =
        chain.has("versions") ? chain.values().at("versions").at(i).at("from").get<std::uint64_t>() : entry.from;
    versions.push_back({wanted, entry.from, entry.when.sentence()});
  }
  return versions;
}

std::uint64_t end_of(const RunSpec& run) { return run.length_in_units() * run.unit; }

}  // namespace

std::string unused_masks(const RunSpec& run) {
  const AnyTheory theory = make_theory(run.theory);
  const AnyFlow flow = architecture_of(run);
  const std::size_t layers = flow->layers();
  const std::size_t masks = std::visit(
      [&]<class Flow>(const Flow& own) -> std::size_t {
        if constexpr (requires { Flow::kMasks; }) {
          return Flow::kMasks;
        } else {  // each has its turn once with every active loop
          return own.couplings(theory_geometry(theory)).size() / (2 * (own.dimensions() - 1));
        }
      },
      flow.kind());
  if (layers >= masks) return "";
  return "layers = " + std::to_string(layers) + " gives only " + std::to_string(layers) + " of " +
         std::to_string(masks) + " masks a turn: what none of these changes keeps the prior's distribution";
}

ResolvedRun resolve_run_file(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  ResolvedRun resolved{
      .run = load_run_file(file, overrides), .sections = {}, .versions = {}, .noise_key = {}, .unused_masks = {}};
  Document document = Document::read(file);
  for (const std::string& assignment : overrides) document.set(assignment);
  const std::string name = file.filename().string();
  const auto add = [&](const std::string& section_name, const Section& section, const std::vector<Key>& keys) {
    resolved.sections.push_back({section_name, resolve(section, name + ": [" + section_name + "]", keys)});
  };
  const Section chain = document.section("chain", chain_keys());
  add("run", document.section("run", run_keys(catalog())), run_keys(catalog()));
  add("theory", resolved.run.theory, kind_keys(catalog().theories, resolved.run.theory));
  add("flow", resolved.run.flow, kind_keys(catalog().flows, resolved.run.flow));
  // The text is a run file again, and one that says a key which does nothing would be refused.
  const auto idle = idle_flow_keys(resolved.run);
  for (ResolvedKey& key : resolved.sections.back().keys) {
    if (idle.contains(key.name)) key.value = nullptr;
  }
  add("train", document.section("train", train_keys()), train_keys());
  add("chain", chain, chain_keys());
  resolved.versions = versions_of(resolved.run, chain);
  const NoiseKey key = resolved.run.noise_key();
  char hex[17];
  std::snprintf(hex, sizeof hex, "%08x%08x", key.words[0], key.words[1]);
  resolved.noise_key = hex;
  const AnyFlow flow = architecture_of(resolved.run);
  resolved.parameters = flow->parameter_count();
  resolved.couples = flow.couples();
  resolved.unused_masks = unused_masks(resolved.run);
  return resolved;
}

std::vector<std::string> resolved_lines(const ResolvedRun& resolved) {
  const RunSpec& run = resolved.run;
  std::vector<std::string> lines;
  for (const ResolvedSection& section : resolved.sections) {
    lines.push_back("[" + section.name + "]");
    add_lines(lines, section.keys);
    lines.emplace_back();
  }
  const auto fact = [&](const std::string& label, const std::string& text) {
    lines.push_back("# " + padded(label, 13) + text);
  };
  fact("identity", to_hex(run.identity()));
  fact("noise key", resolved.noise_key);
  fact("engine", run.numerics.engine + (run.engine_reason.empty() ? "" : ": " + run.engine_reason));
  fact("parameters", std::to_string(resolved.parameters) + " weights");
  if (!resolved.couples) {
    fact("", "no network sees a frozen variable (kernel 1, or even dilations alone): this flow couples nothing");
  }
  if (!resolved.unused_masks.empty()) fact("", resolved.unused_masks);
  fact("unit", std::to_string(run.unit) + " proposals");
  const bool whole = end_of(run) == run.chain.length;
  fact("length", std::to_string(run.length_in_units()) + " units: " + std::to_string(end_of(run)) + " proposals" +
                     (whole ? "" : " (" + std::to_string(run.chain.length) + " rounded up to whole units)"));
  if (run.chain.asap) {
    fact("versions", "each from the first proposal not yet granted when it arrives (placement \"asap\")");
  }
  for (std::size_t i = 0; i < resolved.versions.size(); ++i) {
    const ResolvedVersion& version = resolved.versions[i];
    fact(
        i == 0 ? "versions" : "",
        "from proposal " + std::to_string(version.from) +
            (version.wanted == version.from ? ""
                                            : " (" + std::to_string(version.wanted) + " moved up to a unit boundary)") +
            ": " + version.when + (version.from < end_of(run) ? "" : " (beyond the chain's end: never serves)"));
  }
  return lines;
}

json resolved_json(const ResolvedRun& resolved) {
  const RunSpec& run = resolved.run;
  json sections = json::object(), versions = json::array();
  for (const ResolvedSection& section : resolved.sections) sections[section.name] = keys_json(section.keys);
  for (const ResolvedVersion& version : resolved.versions) {
    versions.push_back({{"wanted", version.wanted}, {"from", version.from}, {"when", version.when}});
  }
  return {{"sections", sections},
          {"identity", to_hex(run.identity())},
          {"identity_text", run.identity_text()},
          {"noise_key", resolved.noise_key},
          {"engine", run.numerics.engine},
          {"parameters", resolved.parameters},
          {"unit", run.unit},
          {"units", run.length_in_units()},
          {"proposals", end_of(run)},
          {"placement", run.chain.asap ? "asap" : "scheduled"},
          {"versions", versions}};
}

}  // namespace flowloom
