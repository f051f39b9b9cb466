/* SPDX-License-Identifier: MIT */
#include "node/config_toml.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES NODE_TOML_DEPTH_MAX
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <toml++/toml.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

struct node_toml {
	toml::table root;
};

namespace
{

/*
 * toml++ recurses into the parts of a dotted key without a bound and allocates about 150 bytes per
 * value, so both are counted before it sees the text. Walks the text as TOML's lexer would; where
 * the text is no TOML the walk may lose its way, but toml++ then stops at that very place.
 */
class prescan
{
      public:
	prescan(const char *text, size_t len) : p(text), end(text + len)
	{
	}

	/* The complaint, or nullptr. */
	const char *run()
	{
		while (p < end) {
			const char *why = step();
			if (why)
				return why;
		}
		return nullptr;
	}

	uint32_t line = 1;

      private:
	const char *step()
	{
		char c = *p;
		if (c == '"' || c == '\'') {
			skip_string(c);
			return nullptr;
		}
		p++;
		if (c == '\n')
			line++;
		if (c == '#')
			skip_comment();
		if (c == '.' && ++dots >= NODE_TOML_DEPTH_MAX)
			return "key has too many parts; at most 16 are allowed";
		bool starts_value = c == ',' || c == '=' || c == '[' || c == '{';
		if (starts_value || c == '\n')
			dots = 0;
		if (starts_value && ++values > NODE_TOML_VALUES_MAX)
			return "more than 4000000 values";
		return nullptr;
	}

	void skip_comment()
	{
		while (p < end && *p != '\n')
			p++;
	}

	bool at_triple(char quote) const
	{
		return end - p >= 3 && p[0] == quote && p[1] == quote && p[2] == quote;
	}

	void skip_string(char quote)
	{
		bool multi = at_triple(quote);
		p += multi ? 3 : 1;
		for (; p < end; p++) {
			if (*p == '\n' && !multi)
				return; /* no TOML: toml++ says so */
			if (*p == '\n')
				line++;
			else if (*p == '\\' && quote == '"' && p + 1 < end && p[1] != '\n')
				p++;
			else if (multi ? at_triple(quote) : *p == quote)
				break;
		}
		if (p < end)
			p += multi ? 3 : 1;
		for (int i = 0; multi && i < 2 && p < end && *p == quote; i++)
			p++; /* up to two quotes may stand before the closing three */
	}

	const char *p, *end;
	unsigned dots = 0;
	unsigned values = 0;
};

node_toml_value value_of(const toml::node &n)
{
	node_toml_value out{};
	out.line = n.source().begin.line;
	out.column = n.source().begin.column;
	out.node = &n;
	if (const auto *t = n.as_table()) {
		out.kind = NODE_TOML_TABLE;
		out.v.count = t->size();
	} else if (const auto *a = n.as_array()) {
		out.kind = NODE_TOML_ARRAY;
		out.v.count = a->size();
	} else if (const auto *s = n.as_string()) {
		out.kind = NODE_TOML_STRING;
		out.v.str.text = s->get().c_str();
		out.v.str.len = s->get().size();
	} else if (const auto *i = n.as_integer()) {
		out.kind = NODE_TOML_INTEGER;
		out.v.integer = i->get();
	} else if (const auto *b = n.as_boolean()) {
		out.kind = NODE_TOML_BOOLEAN;
		out.v.boolean = b->get();
	} else {
		out.kind = n.is_floating_point() ? NODE_TOML_FLOAT : NODE_TOML_TIME;
	}
	return out;
}

void wipe(toml::node &n)
{
	if (auto *t = n.as_table()) {
		for (auto &&kv : *t)
			wipe(kv.second);
	} else if (auto *a = n.as_array()) {
		for (auto &&item : *a)
			wipe(item);
	} else if (auto *s = n.as_string()) {
		explicit_bzero(s->get().data(), s->get().size());
	}
}

int fail(node_toml_error *err, uint32_t line, uint32_t column, const char *what, size_t len)
{
	err->line = line;
	err->column = column;
	std::snprintf(err->what, sizeof(err->what), "%.*s", static_cast<int>(len), what);
	return -EINVAL;
}

/* toml++'s words, shorter and with a hint at the two mistakes that everybody makes. */
std::string describe(std::string_view d)
{
	static constexpr std::string_view lead = "Error while parsing ";
	std::string out;

	if (d.find("TOML_MAX_NESTED_VALUES") != d.npos)
		return "lists and tables are nested too deeply; at most 16 levels are allowed";
	if (d.substr(0, lead.size()) != lead)
		return std::string(d);
	d.remove_prefix(lead.size());
	out = "in " + std::string(d);
	if (d.substr(0, 8) == "boolean:" || d.find("could not determine value type") != d.npos)
		out += "; text stands in quotes";
	if (d.find("control characters other than TAB") != d.npos)
		out = "in string: control character or end of line; expected a closing quote";
	return out;
}

int parse(const char *text, size_t len, struct node_toml **out, struct node_toml_error *err)
{
	prescan scan(text, len);
	if (const char *why = scan.run())
		return fail(err, scan.line, 1, why, std::strlen(why));
	toml::parse_result result = toml::parse(std::string_view(text, len));
	if (!result) {
		const auto &e = result.error();
		std::string d = describe(e.description());
		return fail(err, e.source().begin.line, e.source().begin.column, d.data(), d.size());
	}
	*out = new node_toml{std::move(result).table()};
	return 0;
}

struct key_at {
	const toml::key *key;
	const toml::node *node;
};

std::vector<key_at> keys_by_place(const toml::table &t)
{
	std::vector<key_at> keys;
	keys.reserve(t.size());
	for (auto it = t.begin(); it != t.end(); ++it)
		keys.push_back({&it->first, &it->second});
	std::stable_sort(keys.begin(), keys.end(), [](const key_at &a, const key_at &b) {
		const auto &x = a.key->source().begin, &y = b.key->source().begin;
		return x.line != y.line ? x.line < y.line : x.column < y.column;
	});
	return keys;
}

} // namespace

extern "C" int node_toml_parse(const char *text, size_t len, struct node_toml **out,
			       struct node_toml_error *err)
{
	try {
		return parse(text, len, out, err);
	} catch (const std::bad_alloc &) {
		return -ENOMEM;
	}
}

extern "C" void node_toml_free(struct node_toml *doc)
{
	if (doc)
		wipe(doc->root);
	delete doc;
}

extern "C" struct node_toml_value node_toml_root(const struct node_toml *doc)
{
	return value_of(doc->root);
}

extern "C" struct node_toml_value node_toml_item(const struct node_toml_value *array, size_t i)
{
	return value_of(*static_cast<const toml::node *>(array->node)->as_array()->get(i));
}

extern "C" int node_toml_each_key(const struct node_toml_value *table, node_toml_key_fn fn,
				  void *ctx)
{
	const auto *t = static_cast<const toml::node *>(table->node)->as_table();
	std::vector<key_at> keys;
	try {
		keys = keys_by_place(*t);
	} catch (const std::bad_alloc &) {
		return -ENOMEM;
	}
	for (const auto &k : keys) {
		node_toml_value v = value_of(*k.node);
		const auto &at = k.key->source().begin;
		node_toml_key key{k.key->data(), k.key->length(), at.line, at.column};
		int rc = fn(ctx, &key, &v);
		if (rc)
			return rc;
	}
	return 0;
}
