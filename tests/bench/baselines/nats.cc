// NATS JetStream: one stream in files. Debian's server (2.9) does not know the key sync_interval; it writes each
// message before it acknowledges it, so its folder is told (attribute S of ext4, xfs, …) that every write returns when
// it is on disk.
#include <fcntl.h>
#include <linux/fs.h>
#include <nats/nats.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "contestant.h"
#include "spec/error.h"

namespace flowloom {
namespace {

struct Free {
  void operator()(natsConnection* connection) const { natsConnection_Destroy(connection); }
  void operator()(jsCtx* context) const { jsCtx_Destroy(context); }
  void operator()(jsStreamInfo* info) const { jsStreamInfo_Destroy(info); }
};
using Connection = std::unique_ptr<natsConnection, Free>;
using JetStream = std::unique_ptr<jsCtx, Free>;

void check(natsStatus status) {
  if (status != NATS_OK) throw Error(ErrorCode::kUnavailable, std::string("NATS: ") + natsStatus_GetText(status));
}

// Writes to files that will be made in `folder` return when they are on disk.
void make_synchronous(const std::filesystem::path& folder) {
  const int file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int flags = 0;
  bool done = ::ioctl(file, FS_IOC_GETFLAGS, &flags) == 0;
  flags |= FS_SYNC_FL;
  done = done && ::ioctl(file, FS_IOC_SETFLAGS, &flags) == 0;
  ::close(file);
  if (!done) {
    throw Error(ErrorCode::kUnavailable, "The file system of '" + folder.string() +
                                             "' cannot be told to write synchronously; run the benchmark on ext4.");
  }
}

std::filesystem::path configured(const std::filesystem::path& folder, int port) {
  const auto store = folder / "store";
  std::filesystem::create_directory(store);
  make_synchronous(store);
  const auto file = folder / "nats.conf";
  std::ofstream(file) << "listen: \"127.0.0.1:" << port << "\"\njetstream { store_dir: \"" << store.string()
                      << "\", max_file_store: 64GB, max_memory_store: 1GB }\n";
  return file;
}

class Nats final : public Baseline {
 public:
  explicit Nats(const std::filesystem::path& folder)
      : port_(free_port()),
        server_("", "nats-server", {"--config", configured(folder, port_).string()}, folder, SIGTERM) {
    server_.await([&] { return static_cast<bool>(connect()); });
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    const char* subjects[] = {"units"};
    config.Name = "units";
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    config.Retention = js_LimitsPolicy;
    check(js_AddStream(nullptr, open().context.get(), &config, nullptr, nullptr));
    begin();
  }
  ~Nats() { stop(); }

  std::uint64_t stored() override {
    stop();
    jsStreamInfo* info = nullptr;
    check(js_GetStreamInfo(&info, open().context.get(), "units", nullptr, nullptr));
    return std::unique_ptr<jsStreamInfo, Free>(info)->State.Msgs;
  }

 private:
  struct Session {
    Connection connection;
    JetStream context;
  };

  Connection connect() const {
    natsConnection* connection = nullptr;
    natsConnection_ConnectTo(&connection, ("nats://127.0.0.1:" + std::to_string(port_)).c_str());
    return Connection(connection);
  }
  Session open() {
    Session session{connect(), {}};
    if (!session.connection) throw Error(ErrorCode::kUnavailable, "NATS takes no connection.");
    jsOptions options;
    jsOptions_Init(&options);
    options.PublishAsync.MaxPending = kInFlight;
    options.PublishAsync.StallWait = 10000;
    options.PublishAsync.AckHandler = acknowledged;
    options.PublishAsync.AckHandlerClosure = this;
    jsCtx* context = nullptr;
    check(natsConnection_JetStream(&context, session.connection.get(), &options));
    session.context.reset(context);
    return session;
  }

  static void acknowledged(jsCtx*, natsMsg* message, jsPubAck*, jsPubAckErr* error, void* self) {
    if (error) {
      static_cast<Nats*>(self)->refused_ = true;
    } else {
      static_cast<Nats*>(self)->count(1);
    }
    natsMsg_Destroy(message);
  }

  void produce(std::stop_token stop) override {
    const Session session = open();
    std::string unit = unit_bytes();
    while (!stop.stop_requested()) {
      number(unit);
      check(js_PublishAsync(session.context.get(), "units", unit.data(), static_cast<int>(unit.size()), nullptr));
      if (refused_) throw Error(ErrorCode::kUnavailable, "NATS: a unit was refused.");
    }
    jsPubOptions options;
    jsPubOptions_Init(&options);
    options.MaxWait = 10000;
    check(js_PublishAsyncComplete(session.context.get(), &options));
  }

  int port_;
  std::atomic<bool> refused_ = false;
  Server server_;
};

}  // namespace

std::unique_ptr<Contestant> start_nats(const std::filesystem::path& folder) { return std::make_unique<Nats>(folder); }

}  // namespace flowloom
