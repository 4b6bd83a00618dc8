#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a command, option or field that --help knows and the manual pages or
# the completion of a shell do not, and the other way round.
"""--help, `config show` and the device's header against docs/man and agent/completion."""
import re
import subprocess

from harness import HEALTHY, REPO, AgentTest, main

MAN = REPO / "docs" / "man"
COMPLETION = REPO / "agent" / "completion"


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def sections(page):
    """Text of each .Ss by its title's first words: {"model fetch": "..."}."""
    parts = re.split(r"^\.Ss ", page, flags=re.M)[1:]
    texts = {}
    for part in parts:
        title = part.split("\n", 1)[0]
        words = []
        for word in title.split():
            if not word.islower():
                break
            words.append(word)
        text = re.split(r"^\.Sh ", part, flags=re.M)[0]
        texts[" ".join(words)] = texts.get(" ".join(words), "") + text
    return texts


class HelpTest(AgentTest):
    def help_of(self, *command):
        """(subcommands, options without --help) of a command's help."""
        text = self.expect(HEALTHY, "Usage: llamux-agent", *command, "--help")
        listed = text.split("Subcommands:")[1] if "Subcommands:" in text else ""
        commands = re.findall(r"^  (\w+) ", listed, flags=re.M)
        options = set(re.findall(r"^  (?:-\w,)?(--[\w-]+)", text, flags=re.M)) - {"--help"}
        return commands, options

    def all_commands(self):
        """{("model", "fetch"): {"--host"}, ...}, without groups of commands."""
        out = {}
        waiting = [()]
        while waiting:
            command = waiting.pop()
            subcommands, options = self.help_of(*command)
            out[command] = options
            waiting += [(*command, name) for name in subcommands]
        self.assertGreater(len(out), 20)
        return out

    def test_the_manual_page_has_every_command_and_option_and_no_other(self):
        page = (MAN / "llamux-agent.8").read_text(encoding="utf-8")
        described = sections(page)
        commands = self.all_commands()
        leaves = {" ".join(c) for c in commands if not any(d[:-1] == c for d in commands)}
        self.assertEqual(set(described), leaves)
        for command, options in commands.items():
            text = described.get(" ".join(command), page)
            for option in options:
                self.assertRegex(text, rf"Fl {option[1:]}\b", " ".join(command))
            if " ".join(command) in leaves:
                known = options | commands[command[:-1]] | commands[()]
                for option in re.findall(r"Fl (-[\w-]+)", text.split("\n.Pp\nAll")[0]):
                    self.assertIn("-" + option, known, " ".join(command))

    def test_the_manual_pages_are_well_formed(self):
        for page in sorted(MAN.iterdir()):
            status, said = run("mandoc", "-T", "lint", "-W", "warning", str(page))
            self.assertEqual(status, 0, said)

    def test_every_field_is_in_its_manual_page(self):
        page = (MAN / "llamux-agent.conf.5").read_text(encoding="utf-8")
        for field in self.expect_json(HEALTHY, "config", "show")["fields"]:
            section, _, name = field["field"].partition(".")
            if section == "knobs" or not name:
                self.assertRegex(page, rf"\.(It )?Ic {re.escape(name or section)}( ,| \.)?\n")
            else:
                text = page.split(f".Ss Fields of Ic {section}\n")[1].split(".Ss")[0]
                self.assertIn(f".It Ic {name}\n", text)

    def test_every_call_of_the_device_is_in_its_manual_page(self):
        header = (REPO / "include" / "uapi" / "llamux.h").read_text(encoding="utf-8")
        page = (MAN / "llamux.4").read_text(encoding="utf-8")
        calls = set(re.findall(r"define (LLAMUX_IOC_\w+) _IO", header))
        self.assertEqual(calls, set(re.findall(r"\.It Dv (LLAMUX_IOC_\w+)", page)))

    def completed_by_bash(self, *words):
        script = (f"source {COMPLETION / 'llamux-agent.bash'}; COMP_WORDS=(\"$@\"); "
                  'COMP_CWORD=$(($# - 1)); _llamux_agent; printf "%s\\n" "${COMPREPLY[@]}"')
        status, said = run("bash", "-c", script, "-", "llamux-agent", *words)
        self.assertEqual(status, 0, said)
        return set(said.split())

    def completed_by_fish(self, *words):
        line = " ".join(("llamux-agent", *words))
        status, said = run("fish", "--no-config", "-c",
                           f"source {COMPLETION / 'llamux-agent.fish'}; complete -C '{line}'")
        self.assertEqual(status, 0, said)
        return {text.split("\t")[0] for text in said.splitlines()}

    def test_bash_completes_every_command_and_option(self):
        for command, options in self.all_commands().items():
            subcommands = self.help_of(*command)[0]
            offered = self.completed_by_bash(*command, "")
            self.assertLessEqual(options | set(subcommands), offered, command)
        self.assertEqual(self.completed_by_bash("mod"), {"model"})
        self.assertIn("cpu.weight", self.completed_by_bash("freeze", "cpu."))

    def test_fish_completes_every_command_and_option(self):
        for command, options in self.all_commands().items():
            subcommands = self.help_of(*command)[0]
            self.assertLessEqual(set(subcommands), self.completed_by_fish(*command, ""), command)
            self.assertLessEqual(options, self.completed_by_fish(*command, "--"), command)

    def test_zsh_knows_every_command_and_option(self):
        path = COMPLETION / "_llamux-agent"
        self.assertEqual(run("zsh", "-n", str(path)), (0, ""))
        text = path.read_text(encoding="utf-8")
        for command, options in self.all_commands().items():
            for option in options:
                self.assertIn(f"'{option}[", text, command)
            if command:
                self.assertRegex(text, rf"\b{command[-1]}\b")


if __name__ == "__main__":
    main()
