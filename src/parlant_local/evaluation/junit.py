"""Results in the form that CI systems read: a test case per case."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from parlant_local.evaluation.records import CaseResult

__all__ = ["junit"]


def junit(suites: Sequence[tuple[str, Sequence[CaseResult]]]) -> str:
    """A suite for each model, given by its id and its results."""
    root = ElementTree.Element("testsuites")
    for model, results in suites:
        root.append(_suite(model, results))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(model: str, results: Sequence[CaseResult]) -> ElementTree.Element:
    suite = ElementTree.Element(
        "testsuite",
        name=_plain(model),
        tests=str(len(results)),
        failures=str(sum(not result.passed and not result.error for result in results)),
        errors=str(sum(bool(result.error) for result in results)),
        time=f"{sum(result.cost.seconds for result in results):.3f}",
    )
    for result in results:
        file, _, name = result.id.partition("/")
        case = ElementTree.SubElement(
            suite, "testcase", classname=_plain(file), name=_plain(name), time=f"{result.cost.seconds:.3f}"
        )
        if result.error:
            ElementTree.SubElement(case, "error", message=_plain(result.error))
        elif not result.passed:
            wrong = [each for each in result.decisions if not each.right]
            failure = ElementTree.SubElement(case, "failure", message=_plain(wrong[0].about))
            failure.text = _plain("\n".join(f"{each.about}: {each.outcome} ({each.got})" for each in wrong))
    return suite


def _plain(text: str) -> str:
    """Without the characters that XML has no way to write."""
    return "".join(
        one if one in "\n\t" or (one >= " " and one not in "\ufffe\uffff") else "\N{REPLACEMENT CHARACTER}"
        for one in text
    )
