/* Keys as scan codes: the syntax of --type, and what terminals send. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "console/keys.h"

static void
append(char *out, size_t size, const struct key_stroke *stroke)
{
	if (out[0] != '\0')
		strncat(out, " ", size - strlen(out) - 1);
	for (unsigned i = 0; i < stroke->count; i++)
		snprintf(out + strlen(out), size - strlen(out), "%02X", stroke->codes[i]);
}

/* TEXT gives the strokes EXPECTED: in hexadecimal, a blank between two. */
static void
expect_text(const char *text, const char *expected)
{
	char got[512] = "", err[128] = "";
	struct keys keys;

	if (keys_from_text(text, &keys, err, sizeof(err)) != 0)
		fail_msg("\"%s\": %s", text, err);
	for (size_t i = 0; i < keys.count; i++)
		append(got, sizeof(got), &keys.strokes[i]);
	keys_free(&keys);
	assert_string_equal(got, expected);
}

static void
expect_error(const char *text, const char *expected)
{
	char err[128] = "";
	struct keys keys;

	assert_int_equal(keys_from_text(text, &keys, err, sizeof(err)), -1);
	assert_string_equal(err, expected);
	assert_null(keys.strokes);
	assert_int_equal(keys.count, 0);
}

/* The bytes INPUT of a terminal, then silence. */
static void
expect_input(const char *input, size_t length, const char *expected)
{
	char got[512] = "";
	struct key_parser parser;
	struct key_stroke stroke;

	key_parser_init(&parser);
	for (size_t i = 0; i < length; i++) {
		enum key_input result = key_parser_byte(&parser, (uint8_t)input[i], &stroke);

		if (result == KEY_INPUT_STROKE)
			append(got, sizeof(got), &stroke);
		else if (result == KEY_INPUT_LEAVE)
			strncat(got, " leave", sizeof(got) - strlen(got) - 1);
	}
	if (key_parser_flush(&parser, &stroke) == KEY_INPUT_STROKE)
		append(got, sizeof(got), &stroke);
	assert_false(key_parser_pending(&parser));
	assert_string_equal(got, expected);
}

#define INPUT(input, expected) expect_input(input, sizeof(input) - 1, expected)

static void
characters(void **state)
{
	(void)state;
	expect_text("", "");
	expect_text("ls", "26A6 1F9F");
	expect_text("A", "2A1E9EAA");
	expect_text("19 0", "0282 0A8A 39B9 0B8B");
	expect_text("!~", "2A0282AA 2A29A9AA");
	expect_text("|\\\\", "2A2BABAA 2BAB");
	expect_text("(fd0)", "2A0A8AAA 21A1 20A0 0B8B 2A0B8BAA");
	expect_text("?>", "2A35B5AA 2A34B4AA");
}

static void
escapes(void **state)
{
	(void)state;
	expect_text("\\n\\r\\t\\e\\b\\<", "1C9C 1C9C 0F8F 0181 0E8E 2A33B3AA");
	expect_text("\n\t", "1C9C 0F8F");
}

static void
names(void **state)
{
	(void)state;
	expect_text("<lt><gt>", "2A33B3AA 2A34B4AA");
	expect_text("<Up><DOWN><left><Right>", "E048E0C8 E050E0D0 E04BE0CB E04DE0CD");
	expect_text("<Home><End><PgUp><PgDn><Ins><Del>",
	    "E047E0C7 E04FE0CF E049E0C9 E051E0D1 E052E0D2 E053E0D3");
	expect_text("<Esc><BS><Tab><CR><Space>", "0181 0E8E 0F8F 1C9C 39B9");
	expect_text("<F1><f10><F11><F12>", "3BBB 44C4 57D7 58D8");
	expect_text("<Print><Pause>", "E02AE037E0B7E0AA E11D45E19DC5");
	expect_text("<SysRq><Break>", "3854D4B8 1DE046E0C69D");
	expect_text("<KP5><KPEnter><KP/>", "4CCC E01CE09C E035E0B5");
	expect_text("<x>", "2DAD");
}

static void
modifiers(void **state)
{
	(void)state;
	expect_text("<C-a>", "1D1E9E9D");
	expect_text("<C-A>", "1D1E9E9D"); /* the same key */
	expect_text("<A-x>", "382DADB8");
	expect_text("<S-F1>", "2A3BBBAA");
	expect_text("<c-a-Del>", "1D38E053E0D3B89D");
	expect_text("<C-A-S-Up>", "1D382AE048E0C8AAB89D");
	expect_text("<C-->", "1D0C8C9D");
	expect_text("<A-lt>", "382A33B3AAB8");
	expect_text("<S-1>", "2A0282AA");
	expect_text("<C-Print>", "1DE037E0B79D");
}

static void
longest_stroke_fits(void **state)
{
	static const unsigned keys[] = {KBD_PRINT, KBD_PAUSE, KBD_UP, KBD_ESC};

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++)
		for (unsigned modifiers = 0; modifiers < 8; modifiers++)
			assert_in_range(key_stroke(keys[i], modifiers).count, 2, KEY_STROKE_MAX);
}

static void
errors_name_the_place(void **state)
{
	(void)state;
	expect_error("ls<Foo>", "at character 3: unknown key \"<Foo>\"; write <lt> for a \"<\"");
	expect_error("ls <", "at character 4: \"<\" without \">\"; write <lt> for a \"<\"");
	expect_error("<>", "at character 1: no key in \"<...>\"; write <lt> for a \"<\"");
	expect_error("a<C->", "at character 2: unknown key \"<C->\"; write <lt> for a \"<\"");
	expect_error("<F13>", "at character 1: unknown key \"<F13>\"; write <lt> for a \"<\"");
	expect_error("<F1x>", "at character 1: unknown key \"<F1x>\"; write <lt> for a \"<\"");
	expect_error("<123456789012345678901234567890>",
	    "at character 1: no key in \"<...>\"; write <lt> for a \"<\"");
	expect_error("a\\q", "at character 2: unknown \"\\q\"; write \\\\ for a backslash");
	expect_error("ab\\", "at character 3: \"\\\" at the end; write \\\\ for a backslash");
	expect_error("a\x01", "at character 2: no key for the control character 01h");
	expect_error("\xc3\xa9", "at character 1: no key for \"\xc3\xa9\" on a US keyboard");
	expect_error(
	    "x\xe2\x94\x82", "at character 2: no key for \"\xe2\x94\x82\" on a US keyboard");
	expect_error("\xe2", "at character 1: no key for \"\xe2\" on a US keyboard");
}

static void
errors_fit_small_buffers(void **state)
{
	struct keys keys;
	char err[8];

	(void)state;
	assert_int_equal(keys_from_text("<Foo>", &keys, err, sizeof(err)), -1);
	assert_string_equal(err, "at char");
}

static void
terminal_characters(void **state)
{
	(void)state;
	INPUT("aA\r\n\t", "1E9E 2A1E9EAA 1C9C 1C9C 0F8F");
	INPUT("\x7f\b", "0E8E 0E8E");
	INPUT("\x01\x1a\x1c", "1D1E9E9D 1D2CAC9D 1D2BAB9D");
	INPUT("\0\x1e\x1f", "1D03839D 1D07879D 1D0C8C9D");
	INPUT("a\x1d", "1E9E leave");
}

static void
terminal_sequences(void **state)
{
	(void)state;
	INPUT("\033[A\033OB\033[C\033OD", "E048E0C8 E050E0D0 E04DE0CD E04BE0CB");
	INPUT("\033[H\033[F\033[1~\033[4~\033[7~\033[8~",
	    "E047E0C7 E04FE0CF E047E0C7 E04FE0CF E047E0C7 E04FE0CF");
	INPUT("\033[2~\033[3~\033[5~\033[6~", "E052E0D2 E053E0D3 E049E0C9 E051E0D1");
	INPUT("\033OP\033OS\033[15~\033[17~\033[21~\033[23~\033[24~",
	    "3BBB 3EBE 3FBF 40C0 44C4 57D7 58D8");
	INPUT("\033[11~\033[14~\033[[A\033[[E", "3BBB 3EBE 3BBB 3FBF");
	INPUT("\033[1;5A\033[3;2~\033[1;2P\033[1;3D\033[1;2R",
	    "1DE048E0C89D 2AE053E0D3AA 2A3BBBAA 38E04BE0CBB8 2A3DBDAA");
	INPUT("\033[Z\033[2^", "2A0F8FAA 1DE052E0D29D");
	INPUT("\033OM\033Oj\033Oy", "E01CE09C 2A0989AA 0A8A");
}

static void
terminal_alt_and_esc(void **state)
{
	(void)state;
	INPUT("\033", "0181");
	INPUT("\033x", "382DADB8");
	INPUT("\033X", "382A2DADAAB8");
	INPUT("\033\r", "381C9CB8");
	INPUT("\033\033", "0181 0181");
	INPUT("\033\033[A", "0181 E048E0C8");
	INPUT("\033[", "381A9AB8");
	INPUT("\033O", "382A1898AAB8");
}

/* What is no key leaves no trace, and the key after it is whole. */
static void
terminal_noise(void **state)
{
	(void)state;
	INPUT("\xc3\xa9z", "2CAC");
	INPUT("\xe2\x94\x82z\xf0\x9f\x98\x80z", "2CAC 2CAC");
	INPUT("\xe2z", "2CAC");
	INPUT("\x80\xffz", "2CAC");
	INPUT("\033[?62;4cz", "2CAC");
	INPUT("\033[24;80Rz", "2CAC");
	INPUT("\033[200~z\033[201~", "2CAC");
	INPUT("\033[99999999999999;1;2;3;4;5;6~z", "2CAC");
	INPUT("\033[3\rz", "1C9C 2CAC");
	INPUT("\033[3\033[A", "E048E0C8");
	INPUT("\033[1;", "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(characters),
	    cmocka_unit_test(escapes),
	    cmocka_unit_test(names),
	    cmocka_unit_test(modifiers),
	    cmocka_unit_test(longest_stroke_fits),
	    cmocka_unit_test(errors_name_the_place),
	    cmocka_unit_test(errors_fit_small_buffers),
	    cmocka_unit_test(terminal_characters),
	    cmocka_unit_test(terminal_sequences),
	    cmocka_unit_test(terminal_alt_and_esc),
	    cmocka_unit_test(terminal_noise),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
