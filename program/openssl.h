// Owners of OpenSSL's objects, and its errors as ours.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "spec/error.h"

namespace flowloom::openssl {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
template <class T, auto Free>
using Owned = std::unique_ptr<T, Deleter<Free>>;

using Bio = Owned<BIO, BIO_free_all>;
using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using Certificate = Owned<X509, X509_free>;
using Extension = Owned<X509_EXTENSION, X509_EXTENSION_free>;
using Names = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;
using Context = Owned<SSL_CTX, SSL_CTX_free>;
using Session = Owned<SSL, SSL_free>;

// `result`, which OpenSSL says is good; throws `kInternal` otherwise.
template <class T>
T good(T result, const char* doing) {
  if (result) return result;
  char reason[256];
  ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
  ERR_clear_error();
  throw Error(ErrorCode::kInternal, std::string("OpenSSL fails at ") + doing + ": " + reason + ".");
}

// The object in a PEM text, or nothing.
Certificate certificate_of(const std::string& pem);
Key key_of(const std::string& pem);

// The PEM text of an object; of a key, its secret too.
std::string pem_of(X509* certificate);
std::string pem_of(EVP_PKEY* key);

}  // namespace flowloom::openssl
