// Redis Streams: appendfsync always, so that a reply to XADD goes out after fdatasync. Pipelines of `kInFlight` units.
#include <hiredis/hiredis.h>

#include <array>
#include <csignal>

#include "contestant.h"
#include "spec/error.h"

namespace flowloom {
namespace {

struct Free {
  void operator()(redisContext* context) const { redisFree(context); }
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Connection = std::unique_ptr<redisContext, Free>;
using Reply = std::unique_ptr<redisReply, Free>;

class Redis final : public Baseline {
 public:
  explicit Redis(const std::filesystem::path& folder)
      : socket_((folder / "socket").string()),
        server_("", "redis-server",
                {"--port", "0", "--unixsocket", socket_, "--dir", folder.string(), "--appendonly", "yes",
                 "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0", "--save", ""},
                folder, SIGTERM) {
    server_.await([&] { return static_cast<bool>(connect()); });
    begin();
  }
  ~Redis() { stop(); }

  std::uint64_t stored() override {
    stop();
    const Connection connection = open();
    redisAppendCommand(connection.get(), "XLEN units");
    return static_cast<std::uint64_t>(next(connection)->integer);
  }

 private:
  Connection connect() const {
    Connection connection(redisConnectUnixWithTimeout(socket_.c_str(), timeval{10, 0}));
    if (!connection || connection->err) return {};
    redisSetTimeout(connection.get(), timeval{10, 0});
    return connection;
  }
  Connection open() const {
    Connection connection = connect();
    if (!connection) throw Error(ErrorCode::kUnavailable, "Redis takes no connection.");
    return connection;
  }

  static Reply next(const Connection& connection) {
    void* found = nullptr;
    if (redisGetReply(connection.get(), &found) != REDIS_OK) {
      throw Error(ErrorCode::kUnavailable, std::string("Redis: ") + connection->errstr);
    }
    Reply reply(static_cast<redisReply*>(found));
    if (reply->type == REDIS_REPLY_ERROR) throw Error(ErrorCode::kUnavailable, std::string("Redis: ") + reply->str);
    return reply;
  }

  void produce(std::stop_token stop) override {
    const Connection connection = open();
    std::string unit = unit_bytes();
    std::array<const char*, 7> words{"XADD", "units", "*", "header", unit.data(), "data", unit.data() + kHeaderBytes};
    const std::array<std::size_t, 7> sizes{4, 5, 1, 6, kHeaderBytes, 4, kUnitBytes - kHeaderBytes};
    while (!stop.stop_requested()) {
      for (std::size_t i = 0; i < kInFlight; ++i) {
        number(unit);
        redisAppendCommandArgv(connection.get(), static_cast<int>(words.size()), words.data(), sizes.data());
      }
      for (std::size_t i = 0; i < kInFlight; ++i) {
        next(connection);
        count(1);
      }
    }
  }

  std::string socket_;
  Server server_;
};

}  // namespace

std::unique_ptr<Contestant> start_redis(const std::filesystem::path& folder) { return std::make_unique<Redis>(folder); }

}  // namespace flowloom
