// What a stranger, or one who does not take what it asked for, costs a coordinator. Each test waits for a limit of
// program/rpc.h to bite, and sees that the others are served meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "certs_cases.h"
#include "coordinator_calls.h"
#include "coordinator_run.h"

namespace flowloom {
namespace {

using boost::asio::ip::tcp;
using flowloom::v1::StatusReply;
using grpc::StatusCode;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;
using Call = Served::Call;

// Longer than any limit by this: the machine may be busy.
constexpr std::chrono::seconds kSlack{10};

class LimitsTest : public testing::Test {
 protected:
  static tcp::socket connected(boost::asio::io_context& io, const std::string& address) {
    tcp::socket socket(io);
    const auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), port});
    return socket;
  }

  // How long the other side keeps a connection on which nothing more is said.
  static std::chrono::duration<double> kept(tcp::socket& socket) {
    const auto begin = Clock::now();
    char bytes[4096];
    boost::system::error_code closed;
    while (!closed) socket.read_some(boost::asio::buffer(bytes), closed);
    return Clock::now() - begin;
  }

  // A connection of its own, on which a reply of more than a few bytes waits for its reader.
  std::shared_ptr<grpc::Channel> narrow_channel() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(served_.services->address(), grpc::InsecureChannelCredentials(), arguments);
  }

  static flowloom::v1::WatchStatusRequest every(double seconds) {
    flowloom::v1::WatchStatusRequest request;
    request.set_interval_seconds(seconds);
    return request;
  }

  Served served_{RunText{.length = 4000, .window = 32, .switches = {0}}};
};

TEST_F(LimitsTest, EndAConnectionThatNeverBegins) {
  boost::asio::io_context io;
  const Certs certs;
  const Served secure(RunText{}, true, certs.server());
  for (const std::string& address : {served_.services->address(), secure.services->address()}) {
    tcp::socket silent = connected(io, address);
    EXPECT_LT(kept(silent), limits::kHandshake + kSlack);
  }
  EXPECT_EQ(served_.status().proposals(), 0u);
}

// HTTP/2 begins, pings are answered by nobody, no call comes.
TEST_F(LimitsTest, EndAConnectionThatCallsNothing) {
  boost::asio::io_context io;
  tcp::socket idle = connected(io, served_.services->address());
  const std::string begin("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
  boost::asio::write(idle, boost::asio::buffer(begin));
  const auto time = kept(idle);
  EXPECT_GT(time, limits::kHandshake);
  EXPECT_LT(time, limits::kIdleConnection + kSlack);
}

TEST_F(LimitsTest, RefuseAHeaderThatIsTooLong) {
  for (const int bytes : {limits::kHeaderBytes / 2, limits::kHeaderBytes + 1000}) {
    Call call(served_);
    call.context.AddMetadata("x-long", std::string(static_cast<std::size_t>(bytes), 'x'));
    StatusReply reply;
    const StatusCode code = served_.chain()->Status(&call.context, {}, &reply).error_code();
    EXPECT_EQ(code, bytes < limits::kHeaderBytes ? StatusCode::OK : StatusCode::RESOURCE_EXHAUSTED);
  }
}

TEST_F(LimitsTest, ServeSoManyCallsAtOnceOnOneConnectionAndLetTheNextWait) {
  const auto channel = narrow_channel();
  const auto stub = flowloom::v1::Chain::NewStub(channel);
  std::vector<std::unique_ptr<Call>> calls;
  std::vector<std::unique_ptr<grpc::ClientReader<StatusReply>>> readers;
  for (int i = 0; i < limits::kStreams; ++i) {
    calls.push_back(std::make_unique<Call>(served_, std::chrono::seconds(60)));
    readers.push_back(stub->WatchStatus(&calls.back()->context, every(60)));
    StatusReply reply;
    ASSERT_TRUE(readers.back()->Read(&reply)) << i;
  }
  const auto one_more = [&](std::chrono::milliseconds deadline) {
    Call call(served_, deadline);
    StatusReply reply;
    return stub->Status(&call.context, {}, &reply).error_code();
  };
  EXPECT_EQ(one_more(std::chrono::seconds(1)), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(served_.status().proposals(), 0u);  // on another connection
  calls.back()->context.TryCancel();
  EXPECT_EQ(one_more(std::chrono::seconds(20)), StatusCode::OK);
  for (const auto& call : calls) call->context.TryCancel();
  for (const auto& reader : readers) reader->Finish();
}

TEST_F(LimitsTest, FollowersAreSoManyInAllAndASeatIsFreeAgainWhenOneLeaves) {
  std::vector<std::unique_ptr<Call>> calls;
  std::vector<std::unique_ptr<grpc::ClientReader<StatusReply>>> readers;
  const auto follow = [&](const std::shared_ptr<grpc::Channel>& channel) {
    calls.push_back(std::make_unique<Call>(served_, std::chrono::seconds(60)));
    readers.push_back(flowloom::v1::Chain::NewStub(channel)->WatchStatus(&calls.back()->context, every(60)));
    StatusReply reply;
    return readers.back()->Read(&reply);
  };
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (std::size_t i = 0; i < limits::kSubscribers; ++i) {
    if (i % static_cast<std::size_t>(limits::kStreams) == 0) channels.push_back(narrow_channel());
    ASSERT_TRUE(follow(channels.back())) << i;
  }
  EXPECT_FALSE(follow(served_.channel));
  const grpc::Status refused = readers.back()->Finish();
  EXPECT_EQ(refused.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("try again"));
  readers.pop_back();
  calls.front()->context.TryCancel();
  bool served = false;
  for (int i = 0; i < 100 && !served; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    served = follow(served_.channel);
    if (!served) {
      readers.back()->Finish();
      readers.pop_back();
    }
  }
  EXPECT_TRUE(served);
  for (const auto& call : calls) call->context.TryCancel();
  for (const auto& reader : readers) reader->Finish();
}

// One reads its last word, late; one never reads again. The chain goes on at once, and nobody holds a seat for ever.
TEST_F(LimitsTest, DropWhoDoesNotReadAndNeverLetTheChainWait) {
  served_.publish(checkpoint_bytes(served_.run));
  const auto channel = narrow_channel();
  const auto stub = flowloom::v1::Chain::NewStub(channel);
  Call late(served_, std::chrono::seconds(120)), never(served_, std::chrono::seconds(120));
  const auto late_reader = stub->WatchStatus(&late.context, every(0.1));
  const auto never_reader = stub->WatchStatus(&never.context, every(0.1));
  StatusReply reply;
  ASSERT_TRUE(late_reader->Read(&reply));
  ASSERT_TRUE(never_reader->Read(&reply));
  HandWorker worker(served_, 8);
  const auto begin = Clock::now();
  worker.work();
  EXPECT_TRUE(served_.reaches(4000));
  EXPECT_LT(Clock::now() - begin, limits::kSlowReader);
  const auto dropped = [&](auto& reader) {
    while (reader->Read(&reply)) continue;
    return reader->Finish();
  };
  std::this_thread::sleep_until(begin + limits::kSlowReader + std::chrono::seconds(3));
  const grpc::Status told = dropped(late_reader);
  EXPECT_EQ(told.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(told.error_message(), HasSubstr("Nothing was read for 20 seconds"));
  std::this_thread::sleep_until(begin + 2 * limits::kSlowReader + std::chrono::seconds(6));
  EXPECT_EQ(dropped(never_reader).error_code(), StatusCode::CANCELLED);
}

}  // namespace
}  // namespace flowloom
