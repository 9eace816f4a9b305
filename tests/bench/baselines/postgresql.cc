// PostgreSQL: fsync and synchronous_commit on; one binary COPY of `kInFlight` rows is a transaction. What a run of some
// seconds does not need is off, to its advantage: checkpoints, autovacuum, compression of rows.
#include <endian.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "contestant.h"
#include "spec/error.h"

namespace flowloom {
namespace {

struct Free {
  void operator()(PGconn* connection) const { PQfinish(connection); }
  void operator()(PGresult* result) const { PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, Free>;
using Result = std::unique_ptr<PGresult, Free>;

constexpr char kUser[] = "postgres";  // Debian's; the server refuses to run as root

// Debian keeps the server's programs where the PATH does not lead.
std::filesystem::path programs() {
  std::filesystem::path newest;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", none)) {
    if (std::filesystem::exists(entry.path() / "bin/postgres")) newest = std::max(newest, entry.path() / "bin");
  }
  if (newest.empty()) throw Error(ErrorCode::kNotFound, "PostgreSQL is not here: apt-get install postgresql.");
  return newest;
}

// The folder of a database that is ready to be served.
std::filesystem::path initialized(const std::filesystem::path& folder) {
  if (const passwd* user = ::getpwnam(kUser); user && ::geteuid() == 0) {
    if (::chown(folder.c_str(), user->pw_uid, user->pw_gid) != 0) {
      throw Error(ErrorCode::kPermissionDenied, "'" + folder.string() + "' cannot be given to the user postgres.");
    }
  }
  const auto data = folder / "data";
  Server initdb(kUser, programs() / "initdb",
                {"-D", data.string(), "-U", kUser, "-A", "trust", "--locale=C", "-E", "UTF8", "--no-sync"}, folder,
                SIGTERM);
  if (!initdb.wait().orderly()) {
    throw Error(ErrorCode::kUnavailable,
                "initdb has failed in '" + folder.string() +
                    "', which the user postgres must be able to reach: " + initdb.last_words());
  }
  return data;
}

class PostgreSql final : public Baseline {
 public:
  explicit PostgreSql(const std::filesystem::path& folder)
      : address_("host=" + folder.string() + " user=postgres dbname=postgres connect_timeout=10"),
        server_(kUser, programs() / "postgres", arguments(initialized(folder), folder), folder, SIGINT) {
    server_.await([&] { return PQstatus(Connection(PQconnectdb(address_.c_str())).get()) == CONNECTION_OK; });
    const Connection connection = open();
    run(connection, "CREATE TABLE units(unit bigint PRIMARY KEY, numbers bytea NOT NULL)", PGRES_COMMAND_OK);
    run(connection, "ALTER TABLE units ALTER numbers SET STORAGE EXTERNAL", PGRES_COMMAND_OK);
    begin();
  }
  ~PostgreSql() { stop(); }

  std::uint64_t stored() override {
    stop();
    const Connection connection = open();
    return std::stoull(PQgetvalue(run(connection, "SELECT count(*) FROM units", PGRES_TUPLES_OK).get(), 0, 0));
  }

 private:
  static std::vector<std::string> arguments(const std::filesystem::path& data, const std::filesystem::path& folder) {
    std::vector<std::string> words{"-D", data.string()};
    for (const std::string& setting :
         {std::string("listen_addresses="), "unix_socket_directories=" + folder.string(), std::string("fsync=on"),
          std::string("synchronous_commit=on"), std::string("shared_buffers=1GB"), std::string("wal_buffers=64MB"),
          std::string("max_wal_size=32GB"), std::string("checkpoint_timeout=1h"), std::string("autovacuum=off"),
          std::string("wal_level=minimal"), std::string("max_wal_senders=0")}) {
      words.insert(words.end(), {"-c", setting});
    }
    return words;
  }

  Connection open() const {
    Connection connection(PQconnectdb(address_.c_str()));
    if (PQstatus(connection.get()) != CONNECTION_OK) fail(connection);
    return connection;
  }
  [[noreturn]] static void fail(const Connection& connection) {
    throw Error(ErrorCode::kUnavailable, std::string("PostgreSQL: ") + PQerrorMessage(connection.get()));
  }
  static Result run(const Connection& connection, const char* command, ExecStatusType expected) {
    Result result(PQexec(connection.get(), command));
    if (PQresultStatus(result.get()) != expected) fail(connection);
    return result;
  }

  void produce(std::stop_token stop) override {
    const Connection connection = open();
    const auto put = [&](const char* bytes, std::size_t size) {
      if (PQputCopyData(connection.get(), bytes, static_cast<int>(size)) != 1) fail(connection);
    };
    const auto append = [](std::string& row, auto value) {
      row.append(reinterpret_cast<const char*>(&value), sizeof value);
    };
    constexpr std::size_t kNumber = 2 + 4;  // where the unit's number stands in a row
    std::string row;
    append(row, htobe16(2));  // fields, each with its size
    append(row, htobe32(8));
    append(row, std::uint64_t{0});
    append(row, htobe32(static_cast<std::uint32_t>(kUnitBytes)));
    const std::size_t begin = row.size();
    row += unit_bytes();
    while (!stop.stop_requested()) {
      run(connection, "COPY units FROM STDIN (FORMAT binary)", PGRES_COPY_IN);
      put("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
      for (std::size_t i = 0; i < kInFlight; ++i) {
        const std::uint64_t unit = htobe64(number(std::span(row).subspan(begin)));
        std::memcpy(row.data() + kNumber, &unit, sizeof unit);
        put(row.data(), row.size());
      }
      put("\377\377", 2);
      if (PQputCopyEnd(connection.get(), nullptr) != 1) fail(connection);
      while (const Result result{PQgetResult(connection.get())}) {
        if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) fail(connection);
      }
      count(kInFlight);
    }
  }

  std::string address_;
  Server server_;
};

}  // namespace

std::unique_ptr<Contestant> start_postgresql(const std::filesystem::path& folder) {
  return std::make_unique<PostgreSql>(folder);
}

}  // namespace flowloom
