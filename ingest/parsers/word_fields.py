"""Fields of Word files (ISO/IEC 29500-1, 17.16) as they are shown, those of forms among them."""

from lxml import etree

from ingest.parsers.word_styles import child_value, value_of

_OFF = frozenset({"0", "false", "off"})
_CHECKED, _UNCHECKED = "\u2612", "\u2610"


def write_fields(root: etree._Element) -> None:
    """Show what is chosen in forms, and remove what stands in the code of fields."""
    # `mammoth` makes an element of HTML of these, instead of the sign that they hold.
    for box in list(root.iterfind(".//{*}sdtPr/{*}checkbox")):
        _remove([box])
    # For each open field the texts in its code, which may be results of fields within; or None
    # when its own result has begun.
    codes: list[list[etree._Element] | None] = []
    for element in list(root.iter("{*}fldChar", "{*}t")):
        match value_of(element, "fldCharType"):
            case "begin":
                codes.append([])
                _show_choice(element)
            case "separate" if codes:
                _remove(codes[-1])
                codes[-1] = None
            case "end" if codes:
                _remove(codes.pop())
            case "":
                around = next((code for code in reversed(codes) if code is not None), [])
                around.append(element)


def _remove(elements: list[etree._Element] | None) -> None:
    for element in elements or ():
        if (parent := element.getparent()) is not None:
            parent.remove(element)


def _show_choice(field: etree._Element) -> None:
    """Write what is chosen in a field of a form, a check box or a list, behind its beginning."""
    form = field.find("{*}ffData")
    if form is None:
        return
    chosen = ""
    box, choices = form.find("{*}checkBox"), form.find("{*}ddList")
    if box is not None:
        state = box.find("{*}checked")
        state = box.find("{*}default") if state is None else state
        is_checked = state is not None and value_of(state, "val") not in _OFF
        chosen = _CHECKED if is_checked else _UNCHECKED
    elif choices is not None:
        number = child_value(choices, "result") or child_value(choices, "default") or "0"
        entries = [value_of(entry, "val") for entry in choices.iterfind("{*}listEntry")]
        chosen = "".join(entries[int(number) :][:1]) if number.isdecimal() else ""
    if chosen:
        text = etree.Element(f"{{{etree.QName(field).namespace}}}t")
        text.text = chosen
        field.addnext(text)
