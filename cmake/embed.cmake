# Writes a file's bytes as C:  cmake -DIN=file -DOUT=dir/name -DNAME=symbol -P embed.cmake
# makes OUT.c and OUT.h with  extern const unsigned char NAME[];  extern const size_t NAME_size;
file(READ ${IN} bytes HEX)
string(REGEX REPLACE "(................................................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUT}.c "/* made by cmake/embed.cmake */\n#include <stddef.h>\n
extern const unsigned char ${NAME}[];\nextern const size_t ${NAME}_size;\n
const unsigned char ${NAME}[] = {\n${bytes}\n};\nconst size_t ${NAME}_size = sizeof ${NAME};\n")
file(WRITE ${OUT}.h "/* made by cmake/embed.cmake */\n#include <stddef.h>\n
extern const unsigned char ${NAME}[];\nextern const size_t ${NAME}_size;\n")
