/*
 * flags_help.c - usage, help and man page, all made from the table of flags
 */
#include <stdio.h>

#include "base/mem.h"
#include "server/flags_table.h"
#include "sluice/version.h"

/* The original's way to write a default: strings in quotes, floats as %f. */
static void add_usage_line(const sl_flag *row, sl_text *out)
{
    sl_text form = {0};
    const char *quote = strcmp(sl_flag_type_name(row), "string") == 0 ? "\"" : "";
    sl_text_printf(&form, "--%s=%s%s%s", row->name, quote,
                   row->type == SL_FLAG_FLOAT ? "0.000000" : row->def, quote);
    sl_text_printf(out, "\t%-33s\t%s\t%s\n", form.p ? form.p : "", sl_flag_type_name(row),
                   row->help);
    sl_text_fini(&form);
}

void sl_flags_usage(const char *program, sl_text *out)
{
    sl_text_printf(out, "usage: %s\nFlags:\n", program);
    for (int i = 0; i < sl_flag_count; i++)
        add_usage_line(&sl_flag_table[i], out);
}

/* Breaks `text` at blanks into lines of at most 88 - indent characters. */
static void add_wrapped(sl_text *out, const char *text, int indent)
{
    size_t room = (size_t)(88 - indent);
    while (*text) {
        size_t n = strlen(text);
        if (n > room) {
            n = room;
            while (n > 1 && text[n] != ' ')
                n--;
        }
        sl_text_printf(out, "%*s%.*s\n", indent, "", (int)n, text);
        text += n;
        text += strspn(text, " ");
    }
}

/* What may stand behind '=': "int32", "auto|native|tensorflow" ... */
static void add_values(const sl_flag *row, sl_text *out)
{
    if (row->syntax != NULL) {
        sl_text_puts(out, row->syntax);
        return;
    }
    if (row->type != SL_FLAG_CHOICE) {
        sl_text_puts(out, sl_flag_type_name(row));
        return;
    }
    for (int i = 0; row->choices[i] != NULL; i++)
        sl_text_printf(out, "%s%s", i ? "|" : "", row->choices[i]);
}

static const char *default_of(const sl_flag *row)
{
    if (row->shown != NULL)
        return row->shown;
    return row->def[0] ? row->def : "none";
}

static void add_flag_help(const sl_flag *row, sl_text *out)
{
    sl_text text = {0};
    sl_text_printf(out, "  --%s=<", row->name);
    add_values(row, out);
    sl_text_printf(out, ">  (default: %s)\n", default_of(row));
    sl_text_puts(&text, row->help);
    if (row->no_effect != NULL)
        sl_text_printf(&text, "; no effect: %s", row->no_effect);
    add_wrapped(out, text.p ? text.p : "", 6);
    sl_text_fini(&text);
}

void sl_flags_help(sl_text *out)
{
    sl_text_puts(out, "usage: sluice serve [--flag=value ...]\n"
                      "\n"
                      "Serves models over REST; takes every flag of tensorflow_model_server.\n"
                      "A bool flag is written --flag, --flag=true or --flag=false.\n"
                      "\n"
                      "  sluice serve --model_name=half --model_base_path=/models/half "
                      "--rest_api_port=8501\n");
    for (int g = 0; g < SL_FLAGS_GROUPS; g++) {
        sl_text_printf(out, "\n%s\n", sl_flag_groups[g]);
        for (int i = 0; i < sl_flag_count; i++)
            if ((int)sl_flag_table[i].group == g)
                add_flag_help(&sl_flag_table[i], out);
    }
}

/* ---- the man page ---- */

/* A leading dot or quote would be a request of troff's; '-' must stay a minus for copying. */
static void add_roff(sl_text *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        sl_text_puts(out, "\\&");
    for (; *text; text++) {
        if (*text == '\\')
            sl_text_puts(out, "\\e");
        else if (*text == '-')
            sl_text_puts(out, "\\-");
        else
            sl_text_putc(out, *text);
    }
}

static void add_man_flag(const sl_flag *row, sl_text *out)
{
    sl_text values = {0};
    add_values(row, &values);
    sl_text_puts(out, ".TP\n\\fB");
    add_roff(out, "--");
    add_roff(out, row->name);
    sl_text_puts(out, "\\fR=\\fI");
    add_roff(out, values.p ? values.p : "");
    sl_text_puts(out, "\\fR\n");
    sl_text_fini(&values);
    add_roff(out, row->help);
    sl_text_puts(out, ". Default: ");
    add_roff(out, default_of(row));
    sl_text_puts(out, ".\n");
    if (row->no_effect != NULL) {
        sl_text_puts(out, "Accepted without effect: ");
        add_roff(out, row->no_effect);
        sl_text_puts(out, ".\n");
    }
    if (row->ours)
        sl_text_puts(out, "Not a flag of tensorflow_model_server.\n");
}

static const char man_begin[] =
    ".SH NAME\n"
    "sluice \\- serve, inspect and try machine learning models\n"
    ".SH SYNOPSIS\n"
    ".B sluice serve\n"
    "[\\fB\\-\\-flag\\fR=\\fIvalue\\fR ...]\n"
    ".br\n"
    ".B sluice inspect\n"
    "\\fIDIR\\fR [\\fB\\-\\-json\\fR]\n"
    ".br\n"
    ".B sluice predict\n"
    "\\fIDIR\\fR|\\fIURL\\fR [\\fB\\-\\-signature_name\\fR=\\fINAME\\fR] "
    "[\\fB\\-\\-data\\fR=\\fIJSON\\fR|\\fB@\\fR\\fIFILE\\fR|\\fB\\-\\fR]\n"
    ".br\n"
    ".B sluice warmup\n"
    "\\fIDIR\\fR \\fIREQUESTS\\fR [\\fB\\-\\-signature_name\\fR=\\fINAME\\fR] "
    "[\\fB\\-\\-output\\fR=\\fIFILE\\fR] [\\fB\\-\\-force\\fR]\n"
    ".br\n"
    ".B sluice check\n"
    "[\\fB\\-\\-reload\\fR] [\\fB\\-\\-flag\\fR=\\fIvalue\\fR ...]\n"
    ".br\n"
    ".B tensorflow_model_server\n"
    "[\\fB\\-\\-flag\\fR=\\fIvalue\\fR ...]\n"
    ".SH DESCRIPTION\n"
    ".B sluice serve\n"
    "serves TensorFlow SavedModels over REST, in the place of tensorflow_model_server: "
    "it\n"
    "takes the same flags and configuration files. Called by the name\n"
    ".B tensorflow_model_server\n"
    "(a symbolic link) it serves without a sub\\-command and ends with that program's exit "
    "statuses.\n"
    ".PP\n"
    ".B sluice inspect\n"
    "shows the signatures, sizes and ops of a model, and which engine can run it.\n"
    ".B sluice predict\n"
    "makes one request: of a model in a directory, or of a server.\n"
    ".B sluice warmup\n"
    "writes a model's warm-up file from requests in JSON, one a line.\n"
    ".B sluice check\n"
    "reads flags and configuration files as\n"
    ".B serve\n"
    "would, and says what is wrong: paths, versions and whether they are complete, engines, "
    "signatures,\n"
    "labels, memory, certificates, files that\n"
    ".B \\-\\-run_as\n"
    "or the sandbox closes, the cache directory, addresses to listen on. It changes nothing. With\n"
    ".B \\-\\-reload\n"
    "the flags are those of a server that runs: its addresses are in use, and what a reload would "
    "refuse is\n"
    "fatal. With\n"
    ".B \\-\\-strict_startup\n"
    "what a start with it would refuse is.\n"
    ".SH FLAGS OF SERVE\n"
    "Flags are written \\-\\-name=value. A bool may be written \\-\\-name, \\-\\-name=true or "
    "\\-\\-name=false. The last\n"
    "occurrence of a flag counts. An argument that is not known is refused.\n";

static const char man_end[] =
    ".SH EXIT STATUS\n"
    "0: done. 1: refused, with a line of reason on standard error. 2: bad usage. Under the name\n"
    "tensorflow_model_server: 255 for every failure, with the reason on standard output.\n"
    ".SH ENVIRONMENT\n"
    ".TP\n"
    "\\fBTF_CPP_MIN_LOG_LEVEL\\fR\n"
    "Least level that is written: 0 info, 1 warning, 2 error, 3 fatal; \\-\\-log_level goes before "
    "it.\n"
    ".TP\n"
    "\\fBTF_CPP_MAX_VLOG_LEVEL\\fR\n"
    "Above 0: debug lines are written, too.\n";

void sl_flags_man(sl_text *out)
{
    sl_text_puts(out, ".\\\" made from the table of flags: sluice serve --help=man\n");
    sl_text_printf(out, ".TH SLUICE 1 \"\" \"sluice %s\" \"Sluice\"\n", SL_VERSION);
    sl_text_puts(out, man_begin);
    for (int g = 0; g < SL_FLAGS_GROUPS; g++) {
        sl_text_printf(out, ".SS %s\n", sl_flag_groups[g]);
        for (int i = 0; i < sl_flag_count; i++)
            if ((int)sl_flag_table[i].group == g)
                add_man_flag(&sl_flag_table[i], out);
    }
    sl_text_puts(out, man_end);
}
