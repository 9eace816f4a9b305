// The store's tables beside the log: registry, switches, workers, events, the training's record.
#include <cmath>

#include "chain/store_impl.h"
#include "proto/numbers.h"
#include "spec/error.h"

namespace flowloom {

std::uint32_t Store::add_model(const ModelRow& row, const std::vector<std::uint32_t>& entries) {
  return impl_->guard([&] {
    SQLite::Transaction transaction(*impl_->db);
    SQLite::Statement insert(*impl_->db,
                             std::string("INSERT INTO models(sha256, size, training_step, ess, origin, "
                                         "verified, threshold, published_at) VALUES(?, ?, ?, ?, ?, ?, ?, ") +
                                 kNow + ")");
    bind_blob(insert, 1, row.sha256);
    insert.bind(2, static_cast<std::int64_t>(row.size));
    insert.bind(3, row.training_step);
    if (std::isnan(row.ess)) {
      insert.bind(4);
    } else {
      insert.bind(4, row.ess);
    }
    insert.bind(5, row.origin);
    insert.bind(6, row.verified ? 1 : 0);
    if (std::isfinite(row.threshold)) insert.bind(7, row.threshold);  // else NULL
    insert.exec();
    const auto version = static_cast<std::uint32_t>(impl_->db->getLastInsertRowid());
    impl_->insert_scheduled(entries, version);
    transaction.commit();
    return version;
  });
}

void Store::fulfil(const std::vector<std::uint32_t>& entries, std::uint32_t version) {
  impl_->guard([&] {
    SQLite::Transaction transaction(*impl_->db);
    impl_->insert_scheduled(entries, version);
    transaction.commit();
  });
}

void Store::unfulfil(std::uint32_t entry) {
  impl_->guard([&] {
    SQLite::Statement remove(*impl_->db, "DELETE FROM scheduled WHERE entry = ?");
    remove.bind(1, static_cast<std::int64_t>(entry));
    remove.exec();
  });
}

std::vector<ModelRow> Store::models() const {
  return impl_->guard([&] {
    std::vector<ModelRow> rows;
    SQLite::Statement query(*impl_->db,
                            "SELECT version, sha256, size, training_step, ess, origin, verified, threshold FROM "
                            "models ORDER BY version");
    while (query.executeStep()) {
      ModelRow row;
      row.version = static_cast<std::uint32_t>(query.getColumn(0).getInt64());
      row.sha256 = digest_of(query.getColumn(1), "Version " + std::to_string(row.version));
      row.size = static_cast<std::uint64_t>(query.getColumn(2).getInt64());
      row.training_step = query.getColumn(3).getInt64();
      row.ess = query.getColumn(4).isNull() ? std::nan("") : query.getColumn(4).getDouble();
      row.origin = query.getColumn(5).getString();
      row.verified = query.getColumn(6).getInt() != 0;
      if (!query.getColumn(7).isNull()) row.threshold = query.getColumn(7).getDouble();
      rows.push_back(row);
    }
    return rows;
  });
}

std::vector<std::pair<std::uint32_t, std::uint32_t>> Store::fulfilled() const {
  return impl_->guard([&] {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> rows;
    SQLite::Statement query(*impl_->db, "SELECT entry, version FROM scheduled ORDER BY entry");
    while (query.executeStep()) {
      rows.emplace_back(static_cast<std::uint32_t>(query.getColumn(0).getInt64()),
                        static_cast<std::uint32_t>(query.getColumn(1).getInt64()));
    }
    return rows;
  });
}

std::vector<SwitchRecord> Store::switches() const {
  return impl_->guard([&] {
    std::vector<SwitchRecord> rows;
    SQLite::Statement query(*impl_->db,
                            "SELECT from_index, version, sha256, placement FROM switches ORDER BY from_index");
    while (query.executeStep()) {
      rows.push_back({static_cast<std::uint64_t>(query.getColumn(0).getInt64()),
                      static_cast<std::uint32_t>(query.getColumn(1).getInt64()),
                      digest_of(query.getColumn(2), "A switch"), static_cast<Placement>(query.getColumn(3).getInt())});
    }
    return rows;
  });
}

std::vector<WorkerRow> Store::workers() const {
  return impl_->guard([&] {
    std::vector<WorkerRow> rows;
    SQLite::Statement query(*impl_->db, "SELECT number, name, device, quarantined FROM workers ORDER BY number");
    while (query.executeStep()) {
      rows.push_back({unsigned_of(query.getColumn(0)), query.getColumn(1).getString(), query.getColumn(2).getString(),
                      query.getColumn(3).getString()});
    }
    return rows;
  });
}

std::set<std::uint64_t> quarantined_numbers(const std::vector<WorkerRow>& workers) {
  std::set<std::uint64_t> numbers;
  for (const WorkerRow& row : workers) {
    if (!row.quarantined.empty()) numbers.insert(row.number);
  }
  return numbers;
}

void Store::add_event(const std::string& kind, const std::string& text) {
  impl_->guard([&] {
    SQLite::Statement insert(*impl_->db, std::string("INSERT INTO events(at, kind, text) VALUES(") + kNow + ", ?, ?)");
    insert.bind(1, kind);
    insert.bind(2, text);
    insert.exec();
  });
}

std::vector<Store::Event> Store::events() const {
  return impl_->guard([&] {
    std::vector<Event> events;
    SQLite::Statement query(*impl_->db, "SELECT at, kind, text FROM events ORDER BY sequence");
    while (query.executeStep()) {
      events.push_back(
          {query.getColumn(0).getString(), query.getColumn(1).getString(), query.getColumn(2).getString()});
    }
    return events;
  });
}

namespace {

// The row that the query is at.
TrainingPoint point_at(SQLite::Statement& query) {
  TrainingPoint point;
  assign_numbers(point, [&]<class Number>(const std::string& name, Number& value) {
    const SQLite::Column column = query.getColumn(name.c_str());
    if constexpr (std::is_same_v<Number, double>) {
      value = column.isNull() ? std::nan("") : column.getDouble();
    } else {
      value = column.getInt64();
    }
  });
  return point;
}

}  // namespace

void Store::add_training(const std::string& training, const std::vector<TrainingPoint>& points) {
  if (points.empty()) return;
  std::string names, places;
  for (const std::string& name : number_names(*TrainingPoint::descriptor())) {
    names += (names.empty() ? "" : ", ") + name;
    places += places.empty() ? "?" : ", ?";
  }
  impl_->guard([&] {
    SQLite::Transaction transaction(*impl_->db);
    SQLite::Statement last(*impl_->db, "SELECT value FROM meta WHERE key = 'training'");
    if (!last.executeStep() || last.getColumn(0).getString() != training) {
      impl_->db->exec("DELETE FROM training");
      SQLite::Statement name(*impl_->db, "INSERT OR REPLACE INTO meta(key, value) VALUES('training', ?)");
      name.bind(1, training);
      name.exec();
    }
    SQLite::Statement insert(*impl_->db, "INSERT OR REPLACE INTO training(" + names + ") VALUES(" + places + ")");
    for (const TrainingPoint& point : points) {
      insert.reset();
      int column = 0;
      visit_numbers(point, [&](const std::string&, const auto& value) {
        ++column;
        if (value != value) {
          insert.bind(column);  // NaN is NULL
        } else {
          insert.bind(column, value);
        }
      });
      insert.exec();
    }
    transaction.commit();
  });
}

std::vector<TrainingPoint> Store::training(std::int64_t after_step, std::size_t limit) const {
  return impl_->guard([&] {
    SQLite::Statement query(*impl_->db, "SELECT * FROM training WHERE step > ? ORDER BY step LIMIT ?");
    query.bind(1, after_step);
    query.bind(2, static_cast<std::int64_t>(limit));
    std::vector<TrainingPoint> points;
    while (query.executeStep()) points.push_back(point_at(query));
    return points;
  });
}

std::optional<TrainingPoint> Store::last_training(Points points) const {
  const std::string which = points == Points::kEvaluated ? "WHERE ess IS NOT NULL " : "";
  return impl_->guard([&]() -> std::optional<TrainingPoint> {
    SQLite::Statement query(*impl_->db, "SELECT * FROM training " + which + "ORDER BY step DESC LIMIT 1");
    if (!query.executeStep()) return {};
    return point_at(query);
  });
}

}  // namespace flowloom
