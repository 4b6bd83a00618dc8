// SPDX-License-Identifier: GPL-2.0-only
//
// See http.hpp.
#include "kernel/http.hpp"

#include <curl/curl.h>
#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

namespace llamux {
namespace {

constexpr long kRedirections = 5;
constexpr long kConnectSeconds = 30;
// Slower than this for so long is a connection that has died.
constexpr long kStalledBytesPerSecond = 1;
constexpr long kStalledSeconds = 60;

// Loaded when it is needed: with what it brings along it would make the
// service, which never downloads, half as large again (9.2 MiB without, 13.7 MiB with
// it, /usr/bin/time on `history`).
struct Libcurl {
    decltype(&::curl_easy_init) init;
    decltype(&::curl_easy_setopt) setopt;
    decltype(&::curl_easy_perform) perform;
    decltype(&::curl_easy_getinfo) getinfo;
    decltype(&::curl_easy_strerror) strerror;
    decltype(&::curl_easy_cleanup) cleanup;
};

template <class Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    return function != nullptr;
}

// nullptr: it is not installed. Stays loaded.
const Libcurl* libcurl() {
    static Libcurl functions{};
    void* library = ::dlopen("libcurl.so.4", RTLD_NOW);
    const bool is_whole = library && find(library, "curl_easy_init", functions.init) &&
                          find(library, "curl_easy_setopt", functions.setopt) &&
                          find(library, "curl_easy_perform", functions.perform) &&
                          find(library, "curl_easy_getinfo", functions.getinfo) &&
                          find(library, "curl_easy_strerror", functions.strerror) &&
                          find(library, "curl_easy_cleanup", functions.cleanup);
    return is_whole ? &functions : nullptr;
}

class Transfer {
  public:
    Transfer(const Libcurl& library, const std::string& url, int fd, std::uint64_t have_bytes,
             std::uint64_t all_bytes, const OnProgress& progress)
        : library_(library),
          url_(url),
          fd_(fd),
          have_bytes_(have_bytes),
          all_bytes_(all_bytes),
          progress_(progress),
          curl_(library.init(), library.cleanup) {}

    Status run() {
        if (!curl_) {
            return Error{ENOMEM, "libcurl can not be started"};
        }
        const bool is_secure = url_.starts_with("https://");
        set(CURLOPT_URL, url_.c_str());
        set(CURLOPT_PROTOCOLS_STR, "http,https");
        set(CURLOPT_REDIR_PROTOCOLS_STR, is_secure ? "https" : "http,https");
        set(CURLOPT_FOLLOWLOCATION, 1L);
        set(CURLOPT_MAXREDIRS, kRedirections);
        set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
        set(CURLOPT_LOW_SPEED_LIMIT, kStalledBytesPerSecond);
        set(CURLOPT_LOW_SPEED_TIME, kStalledSeconds);
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_USERAGENT, "llamux-agent");
        set(CURLOPT_ERRORBUFFER, curl_words_.data());
        set(CURLOPT_WRITEFUNCTION, &Transfer::on_bytes);
        set(CURLOPT_WRITEDATA, this);
        // Not CURLOPT_RESUME_FROM, which fails where the server ignores it.
        const std::string range = std::to_string(have_bytes_) + "-";
        if (have_bytes_ > 0) {
            set(CURLOPT_RANGE, range.c_str());
        }
        return outcome(library_.perform(curl_.get()));
    }

  private:
    template <class Value>
    void set(CURLoption option, Value value) {
        (void)library_.setopt(curl_.get(), option, value);
    }

    long http_status() const {
        long status = 0;
        (void)library_.getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
        return status;
    }

    // libcurl's contract: anything but @n_bytes ends the transfer.
    static std::size_t on_bytes(char* bytes, std::size_t, std::size_t n_bytes, void* transfer) {
        Transfer& self = *static_cast<Transfer*>(transfer);
        self.refusal_ = self.take(bytes, n_bytes);
        return self.refusal_.ok() ? n_bytes : 0;
    }

    Status take(const char* bytes, std::size_t n_bytes) {
        if (!has_begun_) {
            has_begun_ = true;
            if (Status begun = begin(); !begun) {
                return begun;
            }
        }
        if (have_bytes_ + n_bytes > all_bytes_) {
            return Error{EPROTO, url_ + ": the server sends more than the " +
                                     std::to_string(all_bytes_) + " bytes of the manifest"};
        }
        for (std::size_t at = 0; at < n_bytes;) {
            const ssize_t n =
                ::pwrite(fd_, bytes + at, n_bytes - at, static_cast<off_t>(have_bytes_));
            if (n < 0 && errno == EINTR) {
                continue;
            }
            if (n < 0) {
                return errno_error(errno, "writing what came");
            }
            at += static_cast<std::size_t>(n);
            have_bytes_ += static_cast<std::uint64_t>(n);
        }
        progress_(have_bytes_, all_bytes_);
        return {};
    }

    // The first bytes of a body. Only that of the file is wanted, not of an
    // error page; and a server that ignores the range sends it from the start.
    Status begin() {
        const long status = http_status();
        if (status != 200 && status != 206) {
            return status_error(status);
        }
        if (status == 200 && have_bytes_ > 0) {
            have_bytes_ = 0;
            if (::ftruncate(fd_, 0) != 0) {
                return errno_error(errno, "starting over");
            }
        }
        curl_off_t to_come = -1;
        (void)library_.getinfo(curl_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &to_come);
        if (to_come >= 0 && have_bytes_ + static_cast<std::uint64_t>(to_come) != all_bytes_) {
            return Error{EPROTO,
                         url_ + ": the server's file has " +
                             std::to_string(have_bytes_ + static_cast<std::uint64_t>(to_come)) +
                             " bytes, the manifest says " + std::to_string(all_bytes_)};
        }
        return {};
    }

    Error status_error(long status) const {
        const int code = status == 404 || status == 410   ? ENOENT
                         : status == 401 || status == 403 ? EACCES
                                                          : EPROTO;
        return Error{code, url_ + ": the server answers " + std::to_string(status)};
    }

    Status outcome(CURLcode code) const {
        if (!refusal_.ok()) {
            return refusal_.error();
        }
        const std::string words =
            *curl_words_.data() != '\0' ? curl_words_.data() : library_.strerror(code);
        const std::string came = "only " + std::to_string(have_bytes_) + " of " +
                                 std::to_string(all_bytes_) + " bytes came";
        if (code != CURLE_OK && have_bytes_ < all_bytes_ && has_begun_) {
            return Error{ECONNABORTED, url_ + ": " + came + ": " + words};
        }
        if (code != CURLE_OK) {
            return Error{EHOSTUNREACH, url_ + ": " + words};
        }
        if (const long status = http_status(); status != 200 && status != 206) {
            return status_error(status);  // without a body
        }
        if (have_bytes_ != all_bytes_) {
            return Error{ECONNABORTED, url_ + ": " + came};
        }
        return {};
    }

    const Libcurl& library_;
    const std::string& url_;
    int fd_;
    std::uint64_t have_bytes_;
    std::uint64_t all_bytes_;
    const OnProgress& progress_;
    std::unique_ptr<CURL, decltype(&::curl_easy_cleanup)> curl_;
    std::array<char, CURL_ERROR_SIZE> curl_words_{};
    bool has_begun_ = false;
    Status refusal_;
};

}  // namespace

Status download(const std::string& url, int fd, std::uint64_t have_bytes, std::uint64_t all_bytes,
                const OnProgress& progress) {
    const Libcurl* library = libcurl();
    if (!library) {
        return Error{ENOENT, "downloading needs libcurl (libcurl.so.4), which is not installed"};
    }
    return Transfer(*library, url, fd, have_bytes, all_bytes, progress).run();
}

}  // namespace llamux
