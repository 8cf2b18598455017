/* document.h - what people write for a request, made into the JSON document of one */
#ifndef SL_CLI_DOCUMENT_H
#define SL_CLI_DOCUMENT_H

#include "base/str.h"

/* Appends the document: a list becomes {"instances": [...]}; `signature`, if not NULL, becomes its
 * first member. Anything else is appended as it is. */
void sl_cli_document(sl_str data, const char *signature, sl_text *out);

#endif
