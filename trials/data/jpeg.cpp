// SPDX-License-Identifier: MIT
// JPEG files by libjpeg.
#include "jpeg.h"

#include <fmt/format.h>

#include <cerrno>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>

// clang-format off: jpeglib.h needs <cstdio> and jerror.h needs jpeglib.h
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

namespace adabelief::trials::data {
namespace {

// libjpeg ends an error by a call that must not return.
struct Errors {
  jpeg_error_mgr manager;  // first: what libjpeg hands to the functions below points to it
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

void on_error(j_common_ptr info) {
  auto* errors = reinterpret_cast<Errors*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->back, 1);
}

// Of the warnings one matters: a file that ends too early, the rest of which would be grey.
void on_message(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) on_error(info);
}

using Choose = std::function<int(std::size_t, std::size_t)>;

// Decodes into `picture`, of CMYK with four samples a pixel. Returns false with a message in `errors`. What is alive
// where libjpeg jumps back must have no destructor.
bool decode(std::FILE* in, Errors& errors, Picture& picture, const Choose& choose, bool& cmyk) {
  jpeg_decompress_struct info;
  info.err = jpeg_std_error(&errors.manager);
  errors.manager.error_exit = on_error;
  errors.manager.emit_message = on_message;
  jpeg_create_decompress(&info);
  if (setjmp(errors.back)) {
    jpeg_destroy_decompress(&info);
    return false;
  }
  jpeg_stdio_src(&info, in);
  jpeg_read_header(&info, TRUE);
  cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  if (choose) picture.denominator = choose(info.image_height, info.image_width);
  info.scale_num = 1;
  info.scale_denom = static_cast<unsigned>(picture.denominator);
  jpeg_start_decompress(&info);
  picture.height = info.output_height;
  picture.width = info.output_width;
  const std::size_t row = picture.width * static_cast<std::size_t>(info.output_components);
  picture.pixels.resize(picture.height * row);
  while (info.output_scanline < info.output_height) {
    JSAMPROW to = picture.pixels.data() + info.output_scanline * row;
    jpeg_read_scanlines(&info, &to, 1);
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return true;
}

// Adobe writes CMYK inverted: 255 is no ink.
std::vector<std::uint8_t> rgb_of(const std::vector<std::uint8_t>& cmyk) {
  std::vector<std::uint8_t> rgb;
  rgb.reserve(cmyk.size() / 4 * 3);
  for (std::size_t i = 0; i < cmyk.size(); i += 4) {
    for (std::size_t c = 0; c < 3; ++c) {
      rgb.push_back(static_cast<std::uint8_t>((cmyk[i + c] * cmyk[i + 3] + 127) / 255));
    }
  }
  return rgb;
}

}  // namespace

Picture read_jpeg(const std::filesystem::path& file, const Choose& choose) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen(file.c_str(), "rb"), std::fclose);
  if (!in) throw std::runtime_error(fmt::format("{}: {}", file.string(), std::strerror(errno)));
  Picture picture;
  Errors errors;
  bool cmyk = false;
  if (!decode(in.get(), errors, picture, choose, cmyk)) {
    throw std::runtime_error(fmt::format("{}: {}; put a JPEG in its place", file.string(), errors.message));
  }
  if (cmyk) picture.pixels = rgb_of(picture.pixels);
  return picture;
}

}  // namespace adabelief::trials::data
