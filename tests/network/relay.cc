#include "network/relay.h"

#include <utility>  // before Boost 1.74, which forgets it

#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <deque>
#include <limits>
#include <random>
#include <thread>
#include <vector>

namespace flowloom {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;
using asio::ip::tcp;
using Clock = asio::steady_timer::clock_type;

constexpr std::size_t kChunk = 64 << 10;
constexpr std::size_t kOnTheWay = 4 << 20;  // of one connection in one direction, at least a chunk

// One direction of the line that all connections share.
struct Direction {
  explicit Direction(const Line& l) : line(l), random(l.seed) {}

  Line line;
  std::mt19937_64 random;
  Clock::time_point free{};  // when it has carried everything so far
  std::atomic<std::uint64_t> bytes{0};

  // When these bytes arrive at the other end.
  Clock::time_point carry(std::size_t count) {
    bytes += count;
    free = std::max(free, Clock::now());
    if (line.bytes_per_second > 0) free += seconds(static_cast<double>(count) / line.bytes_per_second);
    return free + seconds(line.delay.count() + uniform(line.jitter.count()));
  }
  double uniform(double end) { return end > 0 ? std::uniform_real_distribution<double>(0, end)(random) : 0; }

  // How many bytes a connection lives: with this mean, none for ever.
  double life(double mean) {
    return mean > 0 ? std::exponential_distribution<double>(1 / mean)(random) : std::numeric_limits<double>::infinity();
  }
  std::size_t piece(std::size_t left) {
    if (line.fragment == 0) return left;
    return std::min(left, std::uniform_int_distribution<std::size_t>(1, line.fragment)(random));
  }
  static Clock::duration seconds(double count) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
  }
};

// One direction of one connection: what was read waits here until it arrives.
struct Pipe {
  Pipe(std::shared_ptr<tcp::socket> f, std::shared_ptr<tcp::socket> t, Direction& d)
      : from(std::move(f)),
        to(std::move(t)),
        direction(d),
        changed(from->get_executor()),
        cut(d.life(d.line.cut_after)),
        stall(d.life(d.line.stall_after)) {}

  struct Chunk {
    Clock::time_point arrives;
    std::vector<char> bytes;  // empty: the end
  };
  std::shared_ptr<tcp::socket> from, to;
  Direction& direction;
  asio::steady_timer changed;   // cancelled when anything below changes
  double cut, stall;            // bytes until then
  Clock::time_point arrived{};  // when the last of those on the way will be there: nothing overtakes it
  std::deque<Chunk> on_the_way;
  std::size_t bytes = 0;  // of these
  bool broken = false;

  void push(std::vector<char> data) {
    bytes += data.size();
    arrived = std::max(arrived, direction.carry(data.size()));
    on_the_way.push_back({arrived, std::move(data)});
    changed.cancel();
  }

  // Both ends see a connection that was reset.
  void reset() {
    boost::system::error_code ignored;
    for (const auto& socket : {from, to}) {
      socket->set_option(asio::socket_base::linger(true, 0), ignored);
      socket->close(ignored);
    }
    broken = true;
    changed.cancel();
  }

  asio::awaitable<void> change() {
    boost::system::error_code cancelled;
    changed.expires_at(Clock::time_point::max());
    co_await changed.async_wait(asio::redirect_error(use_awaitable, cancelled));
  }
};

asio::awaitable<void> read(std::shared_ptr<Pipe> pipe) {
  std::array<char, kChunk> buffer;
  while (!pipe->broken) {
    boost::system::error_code error;
    const std::size_t count =
        co_await pipe->from->async_read_some(asio::buffer(buffer), asio::redirect_error(use_awaitable, error));
    if (error) break;
    pipe->push({buffer.data(), buffer.data() + count});
    while (pipe->bytes >= kOnTheWay && !pipe->broken) co_await pipe->change();
  }
  pipe->push({});
}

asio::awaitable<void> write(std::shared_ptr<Pipe> pipe) {
  asio::steady_timer arrival(pipe->from->get_executor());
  while (true) {
    while (pipe->on_the_way.empty()) co_await pipe->change();
    const Pipe::Chunk chunk = std::move(pipe->on_the_way.front());
    pipe->on_the_way.pop_front();
    arrival.expires_at(chunk.arrives);
    co_await arrival.async_wait(use_awaitable);
    boost::system::error_code error;
    if (chunk.bytes.empty()) {
      pipe->to->shutdown(tcp::socket::shutdown_send, error);
      co_return;
    }
    for (std::size_t done = 0; done < chunk.bytes.size() && !error;) {
      const std::size_t piece = pipe->direction.piece(chunk.bytes.size() - done);
      if ((pipe->stall -= static_cast<double>(piece)) < 0) co_return;
      co_await asio::async_write(*pipe->to, asio::buffer(chunk.bytes.data() + done, piece),
                                 asio::redirect_error(use_awaitable, error));
      if ((pipe->cut -= static_cast<double>(piece)) < 0) co_return pipe->reset();
      done += piece;
    }
    pipe->bytes -= chunk.bytes.size();
    pipe->changed.cancel();
    if (error) {
      pipe->broken = true;
      pipe->from->shutdown(tcp::socket::shutdown_receive, error);
      co_return;
    }
  }
}

}  // namespace

struct Relay::Impl {
  Impl(const tcp::endpoint& s, Line line)
      : server(s), to(line), back(line), acceptor(io, {asio::ip::make_address("127.0.0.1"), 0}) {
    asio::co_spawn(io, accept(), asio::detached);
    thread = std::thread([this] { io.run(); });
  }
  ~Impl() {
    io.stop();
    thread.join();
  }

  asio::awaitable<void> accept() {
    while (true) {
      boost::system::error_code error;
      auto client =
          std::make_shared<tcp::socket>(co_await acceptor.async_accept(asio::redirect_error(use_awaitable, error)));
      if (error) {
        std::fprintf(stderr, "The relay accepts no more: %s.\n", error.message().c_str());
        co_return;
      }
      asio::co_spawn(io, connect(std::move(client)), asio::detached);
    }
  }

  asio::awaitable<void> connect(std::shared_ptr<tcp::socket> client) {
    auto other = std::make_shared<tcp::socket>(io);
    boost::system::error_code error;
    co_await other->async_connect(server, asio::redirect_error(use_awaitable, error));
    if (error) co_return;  // and the client's end is closed
    for (const auto& socket : {client, other}) socket->set_option(tcp::no_delay(true));
    for (const auto& pipe : {std::make_shared<Pipe>(client, other, to), std::make_shared<Pipe>(other, client, back)}) {
      asio::co_spawn(io, read(pipe), asio::detached);
      asio::co_spawn(io, write(pipe), asio::detached);
    }
  }

  tcp::endpoint server;
  Direction to, back;
  asio::io_context io;
  tcp::acceptor acceptor;
  std::thread thread;
};

Relay::Relay(const std::string& server, Line line) {
  const auto colon = server.rfind(':');
  const tcp::endpoint endpoint(asio::ip::make_address(server.substr(0, colon)),
                               static_cast<unsigned short>(std::stoi(server.substr(colon + 1))));
  impl_ = std::make_unique<Impl>(endpoint, line);
}
Relay::~Relay() = default;

std::string Relay::address() const { return "127.0.0.1:" + std::to_string(impl_->acceptor.local_endpoint().port()); }
std::uint64_t Relay::bytes_to() const { return impl_->to.bytes; }
std::uint64_t Relay::bytes_back() const { return impl_->back.bytes; }

}  // namespace flowloom
