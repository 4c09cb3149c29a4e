import json
from pathlib import Path

import pytest
from openpyxl import Workbook

from core.data.clinical.labels import Target, id_key, normalise_id, read_labels
from core.data.index.identity import person_of, read_identities
from core.errors import LabelError
from core.mri import CLASS_NAMES


def table(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def labels_of(path: Path) -> dict[str, int | None]:
    return {row_id: row.label for row_id, row in read_labels(path).rows.items()}


def test_one_means_methylated_and_ids_keep_their_zeros(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "BraTS21ID,MGMT_value\n00000,1\n2,0\nUPENN-GBM-0001,1\n")
    assert labels_of(path) == {"00000": 1, "00002": 0, "UPENN-GBM-0001": 1}


def test_other_programs_ways_of_writing_are_read(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "\ufeffsite,mgmt_VALUE , BraTS21ID\r\nx,1.0, 7\r\n\r\ny,0,8\r\ny,0,8\r\n")
    assert labels_of(path) == {"00007": 1, "00008": 0}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("BraTS21ID\n1\n", "no column MGMT_value"),
        ("colour,MGMT_value\n1,1\n", r"no column BraTS21ID.*found 'colour', 'MGMT_value'"),
        (
            "ID,MGMT a,MGMT b\n1,1,1\n",
            r"several columns that could be meant: 'MGMT a', 'MGMT b'; name one with --target",
        ),
        ("", "no column BraTS21ID and no column MGMT_value.*found nothing"),
        ("BraTS21ID,MGMT_value\n", "no row"),
        ("BraTS21ID,MGMT_value\n1,0\n2,2\n", "line 3: study 00002 has MGMT_value '2'; expected 0 or 1"),
        ("BraTS21ID,MGMT_value\n1,partly methylated\n", "line 2: study 00001 has MGMT_value 'partly methylated'"),
        ("BraTS21ID,MGMT_value\n1,methylated/unmethylated\n", "line 2.*'methylated/unmethylated'"),
        ("BraTS21ID,MGMT_value\n../x,1\n", r"line 2: '\.\./x' is not a study id"),
        ("BraTS21ID,MGMT_value\n,1\n", "'' is not a study id"),
        ("BraTS21ID,MGMT_value\n-5,1\n", "'-5' is not a study id"),
        ("BraTS21ID,MGMT_value\n1,1\n1,0\n", "line 3: study 00001 is 0 here and 1 further up"),
        (b"PK\x03\x04\0\0binary", "is not text"),
        (b"\xff\xfe\xfa", "is not text"),
        ('BraTS21ID,MGMT_value\n"1,1\n', "is not CSV"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(LabelError, match=says) as caught:
        read_labels(table(tmp_path / "labels.csv", content))
    assert "labels.csv" in str(caught.value)


def test_a_missing_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="cannot be read"):
        read_labels(tmp_path / "none.csv")


def test_numbers_are_padded_and_names_are_not() -> None:
    assert [normalise_id(text) for text in (" 7", "00430", "123456", "a7", "٣")] == [
        "00007",
        "00430",
        "123456",
        "a7",
        "٣",
    ]


def test_the_known_pairs_are_one_person() -> None:
    assert person_of("00639") == person_of("00557") == "00557"
    assert person_of("00758") == person_of("00626") == "00626"
    assert person_of("00001") == "00001"


def test_chains_of_identities_are_followed_in_any_order(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "study_id,same_person_as,source\n4,3,x\n1,2,x\n8,9,x\n3,2,x\n")
    assert read_identities(path) == {
        **dict.fromkeys(("00001", "00002", "00003", "00004"), "00001"),
        **dict.fromkeys(("00008", "00009"), "00008"),
    }


def test_the_competitions_labels(shared_data: Path) -> None:
    labels = labels_of(shared_data / "labels" / "train_labels.csv")
    assert len(labels) == 585
    assert sum(value or 0 for value in labels.values()) == 307
    assert (labels["00430"], labels["00008"]) == (0, 1)


SPELLINGS = {
    1: [
        "1",
        "1.0",
        "1,0",
        "Methylated",
        "methylated ",
        "positive",
        "pos",
        "MGMT methylated",
        "methylated (45%)",
        "yes",
    ],
    0: [
        *("0", "0.0", "0,0", "Unmethylated", "unmethylated", "not methylated", "Not-Methylated", "non-methylated"),
        *("non methylated", "no methylation", "negative", "methylation negative", "unmeth", "un-methylated", "no"),
        *("nicht methyliert", "non metilato", "non méthylé", "NOT METHYLATED", "MGMT promoter unmethylated"),
    ],
    None: [
        *("indeterminate", "Indeterminate", "unknown", "Not Available", "not available", "na", "NA", "n/a", "nan", ""),
        *("-", "?", "not determined", "unknown methylation", "missing", "not tested", "not reported", "pending"),
        *("Not Applicable", "not recorded", "grey zone", "gray-zone", "borderline", "not done", "999", "-99", "-999.0"),
    ],
}


@pytest.mark.parametrize(("label", "text"), [(label, text) for label, texts in SPELLINGS.items() for text in texts])
def test_a_status_is_methylated_unmethylated_or_excluded_with_a_reason(
    tmp_path: Path, label: int | None, text: str
) -> None:
    row = read_labels(table(tmp_path / "a.tsv", f"ID\tMGMT status\nx-1\t{text}\n")).rows["x-1"]
    assert row.label == label
    expected = f"is {text.strip()!r}" if text else "is empty"
    assert row.reason == ("" if label is not None else f"MGMT status {expected}")


HEAD = "BraTS21ID,MGMT_value\n"
ROWS = "".join(f"{number:05d},{number % 2}\n" for number in range(6))


@pytest.mark.parametrize(
    "content",
    [
        HEAD + "".join(f"{number}.0,{number % 2}.0\n" for number in range(6)),
        HEAD + ROWS + ",\n,\n",
        (HEAD + ROWS).replace(",", ";"),
        (HEAD + ROWS).replace(",", "\t"),
        HEAD + "".join(f"BraTS2021_{number:05d},{number % 2}\n" for number in range(6)),
        "MGMT;age;Patient\n" + "".join(f"{number % 2};61,5;patient {number}\n" for number in range(6)),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_a_table_as_spreadsheets_write_it_finds_its_studies(tmp_path: Path, content: str, encoding: str) -> None:
    found = read_labels(table(tmp_path / "a.csv", content.encode(encoding)))
    assert [(found.find(f"{number:05d}") or pytest.fail(str(number))).label for number in range(6)] == [0, 1] * 3


def test_a_workbook_is_read_as_a_text_is(tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(["About this table"])
    sheet = book.create_sheet("clinical")
    for row in (
        ["Patient ID", "Age", "MGMT methylation"],
        [1, 61.0, "not methylated"],
        [2.0, 62.5, 1],
        [3, None, None],
    ):
        sheet.append(row)
    sheet.append([None, None, None])
    book.save(tmp_path / "a.xlsx")
    found = read_labels(tmp_path / "a.xlsx")
    assert [row.label for row in found.rows.values()] == [0, 1, None]
    assert list(found.rows) == ["00001", "00002", "00003"]
    assert found.rows["00002"].cells["Age"] == "62.5"


def test_ids_are_found_with_other_zeros_and_generic_words_and_never_across_cohorts(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "ID,MGMT\nUCSF-PDGM-004,1\nUCSF-PDGM-041,0\nUPENN-GBM-00004_11,0\n")
    found = read_labels(path)
    for study, label in (("UCSF-PDGM-0004", 1), ("UCSF-PDGM-0041", 0), ("UPENN-GBM-4_11", 0)):
        row = found.find(study)
        assert row is not None
        assert row.label == label
    assert [found.find(other) for other in ("00004", "4", "UPENN-GBM-00004_21", "UCSF-PDGM-0410", "OTHER-004")] == [
        None
    ] * 5
    double = read_labels(table(tmp_path / "b.csv", "ID,MGMT\nP-01,1\nP-1,0\n"))
    assert double.find("P-001") is None
    assert double.find("P-01") == double.rows["P-01"]


def test_the_column_of_ids_is_the_one_that_holds_the_studies(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "ID,BraTS21 ID,MGMT status\nUCSF-PDGM-004,00097,positive\n")
    assert list(read_labels(path, known_ids=["00097"]).rows) == ["00097"]
    assert list(read_labels(path, known_ids=["UCSF-PDGM-0004"]).rows) == ["UCSF-PDGM-004"]


def test_another_column_can_be_the_target(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.csv", "ID;MGMT status;MGMT index;IDH\na;positive;2,5;mutant\nb;unknown;1;wildtype\nc;;na;\n"
    )

    def read(**target: str | float) -> list[int | None]:
        found = read_labels(path, target=Target(**target))  # type: ignore[arg-type]
        names.append(found.class_names)
        return [row.label for row in found.rows.values()]

    names: list[tuple[str, str]] = []
    assert read() == [1, None, None]
    assert read(column="IDH", positive="Mutant") == [1, 0, None]
    assert read(column="MGMT index", cutoff=2.0) == [1, 0, None]
    assert names == [CLASS_NAMES, ("wildtype", "Mutant"), CLASS_NAMES]
    with pytest.raises(LabelError, match=r"which value of IDH is positive\? Name it with --positive.*'mutant' \(1\)"):
        read(column="IDH")
    with pytest.raises(LabelError, match="no row has IDH 'IDH1'; it holds"):
        read(column="IDH", positive="IDH1")
    with pytest.raises(LabelError, match="no column grade"):
        read(column="grade")


def test_an_id_of_thousands_of_digits_is_compared_as_text() -> None:
    assert id_key("1" * 5000) != id_key("1" * 4999)


@pytest.mark.parametrize(
    "name", ["MGMT expression (IHC)", "MGMT protein", "MGMT immunohistochemistry", "MGMT mRNA", "MGMT loss"]
)
def test_a_column_of_the_protein_is_not_the_status(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / "a.csv", f"ID,{name}\na,negative\nb,positive\n")
    with pytest.raises(LabelError, match=r"no column MGMT_value.*--target"):
        read_labels(path)
    asked = read_labels(path, target=Target(column=name))
    assert asked.class_names == (f"{name} negative", f"{name} positive")
    both = table(tmp_path / "b.csv", f"ID,{name},MGMT promoter\na,negative,methylated\nb,positive,unmethylated\n")
    assert labels_of(both) == {"a": 1, "b": 0}


@pytest.mark.parametrize(
    "name",
    ["MGMT unmethylated", "MGMT_non-methylated", "MGMT nicht methyliert", "MGMT (1 = unmethylated, 0 = methylated)"],
)
def test_a_yes_in_a_column_named_unmethylated_is_refused_with_the_remedy(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / "a.csv", f'ID,"{name}"\na,0\nb,1\nc,\n')
    with pytest.raises(LabelError, match=r"line 2: study a has MGMT.*unmethylated.*--positive"):
        read_labels(path)
    found = read_labels(path, target=Target(positive="0"))
    assert ([row.label for row in found.rows.values()], found.class_names) == ([1, 0, None], CLASS_NAMES)


def test_a_column_named_unmethylated_is_read_where_its_cells_or_its_codes_tell(tmp_path: Path) -> None:
    words = table(tmp_path / "a.csv", "ID,MGMT unmethylated or not\na,methylated\nb,unmethylated\n")
    codes = table(tmp_path / "b.csv", 'ID,"MGMT (0=unmethylated, 1=methylated)"\na,1\nb,0\n')
    letters = table(tmp_path / "d.csv", "ID,MGMT (U unmethylated; M methylated)\na,M\nb,U\n")
    other = table(tmp_path / "c.csv", "ID,MGMT run methylation\na,yes\nb,no\n")
    assert [labels_of(path) for path in (words, codes, letters, other)] == [{"a": 1, "b": 0}] * 4


def test_a_value_with_more_in_brackets_is_the_positive_one_and_the_negative_ones_are_named(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.csv", "ID,IDH\na,Mutant\nb,wildtype\nc,mutant  (R132H)\nd,IDH1 p.R132H\ne,wildtype (IHC)\nf,n/a\n"
    )
    found = read_labels(path, target=Target(column="IDH", positive="mutant"))
    assert [row.label for row in found.rows.values()] == [1, 0, 1, 0, 0, None]
    assert found.notes == (
        "IDH: 2 rows are 'mutant', the positive class; negative are 'wildtype' (2), 'idh1 p.r132h' (1).",
    )
    exact = read_labels(path, target=Target(column="IDH", positive="Mutant (R132H)"))
    assert [row.label for row in exact.rows.values()] == [0, 0, 1, 0, 0, None]
    grades = table(tmp_path / "b.csv", "ID,grade\na,4\nb,4.0\nc,2\n")
    two = read_labels(grades, target=Target(column="grade", positive="4"))
    assert ([row.label for row in two.rows.values()], two.notes, two.class_names) == ([1, 1, 0], (), ("2", "4"))


def test_a_code_for_a_missing_value_is_no_number_of_an_mgmt_index(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "ID,MGMT index,days\na,12,999\nb,999,3\nc,-99,-99\nd,1,9\n")
    index = read_labels(path, target=Target(column="MGMT index", cutoff=2))
    assert [row.label for row in index.rows.values()] == [1, None, None, 0]
    days = read_labels(path, target=Target(column="days", cutoff=9))
    assert [row.label for row in days.rows.values()] == [1, 0, 0, 1]


@pytest.mark.parametrize(
    "head", ["sep=;\n", "Table S1. Clinical data\n\n", "Clinical data;;\n", "Table S1\nexported from the registry\n"]
)
def test_a_line_above_the_header_is_passed_over(tmp_path: Path, head: str) -> None:
    path = table(tmp_path / "a.csv", head + "ID;MGMT;age\n7;methylated;61,5\n8;unmethylated;50\n")
    assert labels_of(path) == {"00007": 1, "00008": 0}
    book = Workbook()
    for row in ([head.strip().split("\n")[0]], [], ["ID", "MGMT"], [7, 1], [8, 0]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    assert labels_of(tmp_path / "a.xlsx") == {"00007": 1, "00008": 0}
    assert read_labels(tmp_path / "a.xlsx").rows["00008"].line == 5


@pytest.mark.parametrize(
    ("label", "texts"),
    [
        (1, ["metilado", "gemethyleerd", "metylowany", "metyleret", "метилирован", "positivo", "oui", "ja", "sí", "tak", "да", "Y"]),
        (1, ["+", "(+)", "45% methylated", "methylated, 12,5 %", "with methylation", "Metilação presente"]),
        (0, ["metilsiz", "niet gemethyleerd", "niemetylowany", "ikke metyleret", "не метилирован", "pas de méthylation", "nein"]),
        (0, ["lack of methylation", "no evidence of methylation", "negativ", "ausente", "yok", "N", "umetyleret"]),
        (None, ["9", "-1", "#REF!", "#N/A", "[Not Available]", "(unknown)", "nicht bestimmt", "k.A.", "n.b.", "non déterminé"]),
        (None, ["no disponible", "sin datos", "non eseguito", "não realizado", "niet bepaald", "brak danych", "нет данных"]),
    ],
)  # fmt: skip
def test_a_status_in_other_words(tmp_path: Path, label: int | None, texts: list[str]) -> None:
    for text in texts:
        rows = read_labels(table(tmp_path / "a.tsv", f"ID\tMGMT status\nx-1\t{text}\n")).rows
        assert rows["x-1"].label == label, text


def test_what_stands_in_letters_that_are_not_known_is_refused_and_not_called_empty(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="line 2: study x-1"):
        read_labels(table(tmp_path / "a.csv", "ID,MGMT\nx-1,甲基化\n"))


def test_a_minus_is_negative_beside_a_plus_only(tmp_path: Path) -> None:
    assert labels_of(table(tmp_path / "a.csv", "ID,MGMT\na,+\nb,-\nc,\n")) == {"a": 1, "b": 0, "c": None}
    assert labels_of(table(tmp_path / "b.csv", "ID,MGMT\na,1\nb,-\n")) == {"a": 1, "b": None}


@pytest.mark.parametrize(
    ("levels", "cells", "labels"),
    [
        ({"0": "methylated", "1": "unmethylated"}, "01", [1, 0]),
        ({"1": "methylated", "2": "unmethylated", "3": "unknown"}, "123", [1, 0, None]),
        ({"P": {"Description": "methylated"}, "Q": {"Description": "not methylated"}}, "PQ", [1, 0]),
        ({"1": "above the cut-off", "0": "below"}, "01", [0, 1]),
        ({"1": None}, "01", [0, 1]),
    ],
)
def test_codes_mean_what_the_sidecar_of_a_table_says(
    tmp_path: Path, levels: dict[str, object], cells: str, labels: list[int | None]
) -> None:
    rows = "".join(f"sub-{number}\t{cell}\n" for number, cell in enumerate(cells))
    path = table(tmp_path / "participants.tsv", f"participant_id\tMGMT\n{rows}")
    (tmp_path / "participants.json").write_text(json.dumps({"MGMT": {"Levels": levels}}))
    assert list(labels_of(path).values()) == labels


def test_codes_mean_what_the_name_of_the_column_says(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", 'ID,"MGMT (1=methylated, 2=unmethylated, 3=unknown)"\na,1\nb,2\nc,3\n')
    assert labels_of(path) == {"a": 1, "b": 0, "c": None}
    assert labels_of(table(tmp_path / "b.csv", "ID,MGMT at 1 year\na,1\nb,0\n")) == {"a": 1, "b": 0}


def test_missing_values_of_a_coded_target_are_no_class(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "ID,IDH,MGMT index\na,1,5\nb,0,0\nc,99,-1\nd,-9,9\n")
    idh = read_labels(path, target=Target(column="IDH", positive="1"))
    assert ([row.label for row in idh.rows.values()], idh.notes) == ([1, 0, None, None], ())
    index = read_labels(path, target=Target(column="MGMT index", cutoff=2))
    assert [row.label for row in index.rows.values()] == [1, 0, None, 1]
    words = table(tmp_path / "b.csv", "ID,IDH\na,mutant\nb,wildtype\nc,[Not Evaluated]\nd,[Discrepancy]\n")
    told = read_labels(words, target=Target(column="IDH", positive="mutant"))
    assert [row.label for row in told.rows.values()] == [1, 0, None, None]


@pytest.mark.parametrize(
    "content",
    [
        "# exported 2024, by the registry, v1\nID,MGMT\n7,1\n8,0\n",
        "ID,MGMT\n7,1\n# a remark\n8,0\n\nNote: 1 means methylated\n",
        'ID;"MGMT (a,b,c)"\n7;methylated\n8;unmethylated\n',
        "ID;MGMT\n7,0;1,0\n8,0;0,0\n",
        "Clinical,,Molecular,\nID,Age,IDH,MGMT\n7,60,wt,1\n8,50,mut,0\n",
    ],
)
def test_what_stands_around_a_table_is_passed_over(tmp_path: Path, content: str) -> None:
    assert labels_of(table(tmp_path / "a.csv", content)) == {"00007": 1, "00008": 0}


def workbook(path: Path, *sheets: list[list[object]]) -> Workbook:
    book = Workbook()
    for rows in sheets:
        sheet = book.active if rows is sheets[0] else book.create_sheet()
        for row in rows:
            sheet.append(row)
    book.save(path)
    return book


def test_percentages_of_a_workbook_are_read_as_they_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    book = workbook(path, [["ID", "MGMT percent"], ["a", 0.45], ["b", 0.03]])
    for cell in ("B2", "B3"):
        book.active[cell].number_format = "0%"
    book.save(path)
    found = read_labels(path, target=Target(column="MGMT percent", cutoff=9))
    assert [row.label for row in found.rows.values()] == [1, 0]


def test_the_sheet_that_holds_the_studies_is_read_and_a_hidden_one_last(tmp_path: Path) -> None:
    first, second = [["ID", "MGMT"], ["A-1", 1], ["B-1", 0]], [["ID", "MGMT"], ["B-1", 1], ["B-2", 0]]
    book = workbook(tmp_path / "a.xlsx", first, second)
    found = read_labels(tmp_path / "a.xlsx", known_ids=["B-1", "B-2"])
    assert {row_id: row.label for row_id, row in found.rows.items()} == {"B-1": 1, "B-2": 0}
    book.worksheets[0].sheet_state = "hidden"
    book.save(tmp_path / "a.xlsx")
    assert labels_of(tmp_path / "a.xlsx") == {"B-1": 1, "B-2": 0}


def test_a_header_of_merged_cells_and_one_column_twice(tmp_path: Path) -> None:
    workbook(
        tmp_path / "a.xlsx",
        [[None, "Clinical", None, "Molecular"], ["ID", "Age", "Sex", "IDH", "MGMT"], [7, 60, "M", "wt", 1]],
    )
    assert labels_of(tmp_path / "a.xlsx") == {"00007": 1}
    workbook(tmp_path / "b.xlsx", [["ID", "MGMT status", "MGMT status"], [7, 1, 0]])
    with pytest.raises(LabelError, match="several columns that could be meant"):
        read_labels(tmp_path / "b.xlsx")


def test_formulas_without_values_are_named_and_a_blank_column_is_not(tmp_path: Path) -> None:
    workbook(tmp_path / "a.xlsx", [["ID", "word", "MGMT"], ["a", "methylated", '=IF(B2="methylated",1,0)']])
    with pytest.raises(LabelError, match=r"formulas of column 'MGMT' were not calculated.*save it as CSV"):
        read_labels(tmp_path / "a.xlsx")
    workbook(tmp_path / "b.xlsx", [["ID", "notes", "MGMT"], ["a", None, 1]])
    assert labels_of(tmp_path / "b.xlsx") == {"a": 1}


def test_unmethylated_cannot_be_called_methylated(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "ID,MGMT\na,methylated\nb,unmethylated\n")
    with pytest.raises(LabelError, match="methylated is the positive class; leave out --positive"):
        read_labels(path, target=Target(positive="Unmethylated"))
    assert [row.label for row in read_labels(path, target=Target(positive="methylated")).rows.values()] == [1, 0]


@pytest.mark.parametrize("cell", ["12", "0.93", "45%"])
def test_a_number_that_is_no_status_is_refused_with_the_remedy(tmp_path: Path, cell: str) -> None:
    with pytest.raises(LabelError, match=r"line 2: study a .*state the cut-off \(--cutoff\)"):
        read_labels(table(tmp_path / "a.csv", f"ID,MGMT\na,{cell}\n"))
