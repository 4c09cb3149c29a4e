import pytest

from core.data.sequences.names import Mark, read_name, split_words

POST, PERHAPS, PRE, SILENT = "post", "post?", "pre", ""


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        # English
        ("AX T1 W/O CONTRAST", PRE), ("AX T1 WO CONTRAST", PRE), ("T1 without gad", PRE), ("T1 NON-CONTRAST", PRE),
        ("AX T1 +GD", POST), ("AX T1 POST", POST), ("T1 W/ CONTRAST", POST), ("AX T1 C+", POST), ("AX T1 C-", PRE),
        ("T1 pre gd", PRE), ("T1 precontrast", PRE), ("T1POSTGD", POST), ("sT1W_3D_CE", POST), ("T1 Gadavist", POST),
        ("AX T1 W/WO", SILENT), ("T1 with and without contrast", SILENT), ("T1 pre/post", SILENT),
        ("AX T1 POST-OP", SILENT), ("T1 post op +C", POST), ("T1 after Gd", POST), ("T1 before Gd", PRE), ("T1 POST FOSSA", SILENT), ("AX T1", SILENT),
        # a letter alone, and a plus
        ("t1_space_sag_iso_C", PERHAPS), ("t1_space_sag_iso+C", POST), ("t1_mprage_Sag + C", POST),
        ("t1_space_sag_iso c", PERHAPS), ("+C Ax T1 3D FSPGR", POST), ("T1W_3D_TFE+", PERHAPS), ("T1c", POST),
        # German, French, Spanish
        ("t1_se_tra_KM", POST), ("T1 nach KM", POST), ("T1 ohne KM", PRE), ("T1 nativ", PRE), ("T1 vor Kontrastmittel", PRE),
        ("T1 GADO", POST), ("T1 sans gado", PRE), ("T1 après injection", POST), ("T1 avec contraste", POST),
        ("T1 con contraste", POST), ("T1 sin contraste", PRE), ("T1 avant inj", PRE), ("T1 S/C", PRE), ("T1 C/C", POST),
        # Italian, Portuguese, Dutch
        ("T1 3D sag mdc", POST), ("MdC_3D_T1_TSE", POST), ("TSE_3DT1mdc", POST), ("T1 senza m.d.c.", PRE), ("T1 basale", PRE),
        ("T1 s/mdc", PRE), ("T1 dopo mdc", POST), ("T1 sem contraste", PRE), ("T1 após contraste", POST),
        ("T1 zonder contrast", PRE), ("T1 met contrast", POST), ("T1 blanco", PRE),
        ("T1 avec injection", POST), ("T1 con civ", POST), ("T1 mit Inj", POST), ("T1 mit", SILENT),
        # an agent that is denied
        ("AX T1 -GD", PRE), ("T1 -KM fs", PRE), ("T1_-Gd", PRE), ("AX T1 - GD", SILENT), ("T1-GD", POST), ("T1 KM neg", PRE),
        ("T1 Gd negativ", PRE), ("T1 o. KM", PRE), ("T1 oKM", PRE), ("T1 o. Kontrast", PRE), ("T1 m. KM", POST), ("T1 mKM", POST),
        ("T1 w.o. contrast", PRE), ("T1 w. contrast", POST), ("T1 w. & w.o. contrast", SILENT), ("T1 s.c.", PRE), ("T1 nonGd", PRE),
        ("T1 GdDTPA", POST), ("T1 Gd-DTPA", POST), ("T1 GdDOTA", POST), ("T1 pre GdDTPA", PRE),
        # Russian, in Latin and in Cyrillic letters
        ("T1 s kontrastom", POST), ("T1 bez kontrasta", PRE), ("T1 do kontrasta", PRE), ("T1 posle kontrasta", POST),
        ("Т1 с контрастом", POST), ("Т1 без контраста", PRE), ("T1 с КУ", POST), ("T1 без КУ", PRE),
        ("Т1 нативная", PRE), ("T1 до введения контраста", PRE), ("T1 posle vvedeniya kontrasta", POST), ("T1 после в/в контрастирования", POST),
        # Polish, Czech, Turkish, Scandinavian
        ("T1 po kontraście", POST), ("T1 przed kontrastem", PRE), ("T1 K+", POST), ("T1 K-", PRE), ("T1 po KL", POST), ("T1 nativní", PRE),
        ("T1 před kontrastem", PRE), ("T1 KONTRASTSIZ", PRE), ("T1 kontrastsız", PRE), ("T1 kontrastlı", POST), ("T1 kontrast oncesi", PRE),
        ("T1 IVKM", POST), ("T1 u. kontrast", PRE), ("T1 m. kontrast", POST), ("T1 før kontrast", PRE), ("T1 u/k", PRE), ("T1 m/k", POST),
        # abbreviations with a point or a slash, and their absence
        ("T1 v. KM", PRE), ("T1 n. KM", POST), ("T1 nKM", POST), ("T1 S/GD", PRE), ("T1 s/gadolinio", PRE), ("T1 C/GD", POST), ("T1 IV+", POST),
        ("T1 IV-", PRE), ("T1C- AX", PRE), ("T1C+ AX", POST), ("T1 Gd(-)", PRE), ("T1 KM -", PRE), ("T1 kontrast-", PRE), ("T1 contrast: no", PRE),
        ("T1 kein KM", PRE), ("T1_nachKM_reg", POST), ("T1 ohneKM", PRE), ("T1 avecgado", POST), ("AX T1 NON CON", PRE), ("T1 POSGD", POST), ("T1 con", PERHAPS),
        # words between the negation or the preposition and the agent
        ("T1 vor i.v. KM", PRE), ("T1 senza mezzo di contrasto", PRE), ("T1 antes de la inyeccion de contraste", PRE),
        ("T1 without the use of contrast", PRE), ("T1 apos injecao do contraste", POST), ("T1 do cranio pos contraste", POST),
        # what is denied is something else
        ("T1 NO FS GD", POST), ("T1 W/O FAT SAT +C", POST), ("T1 POST W/O FS", POST), ("T1 ohne FS mit KM", POST), ("T1 without fat sat", SILENT),
        # both
        ("T1 +/- GD", SILENT), ("T1 ± Gd", SILENT), ("T1 C-/C+", SILENT), ("T1 vor/nach KM", SILENT), ("T1 avant et apres gado", SILENT),
        ("T1 before and after gad", SILENT), ("T1 antes e depois do contraste", SILENT), ("T1 SIN/CON", SILENT), ("T1 SAG C-SPINE", SILENT),
    ],
)  # fmt: skip
def test_words_for_contrast(name: str, mark: Mark) -> None:
    found = read_name(name)
    assert (found.weighting, found.mark) == ("T1", mark)
    assert read_name(name.upper()).mark == mark


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("T2_FFE", "a susceptibility or T2* image"), ("t2_fl2d_tra_hemo", "a susceptibility or T2* image"),
        ("ep2d_diff_tra", "a diffusion image"), ("AX DSC PERF", "a perfusion image"), ("t1_twist_dyn", "a perfusion image"),
        ("BOLD rest", "an echo-planar or functional image"), ("3D TOF", "an angiogram"), ("T1 phase map", "a phase image"), ("RESOLVE tra", "a diffusion image"), ("T1 MIP", "a projection"),
        ("AX PD", "a proton-density image"), ("AX T1 POST SUB", "a subtraction"), ("T1 Soustraction", "a subtraction"),
        ("gre_field_mapping", "a map"), ("T1map", "a map"), ("MRS PRESS", "spectroscopy"), ("t2_ciss", "a cisternogram or balanced image"),
        ("STIR cor", "a fat-nulled or double inversion image"), ("AAHead_Scout", "a localiser"), ("Survey", "a localiser"),
        ("T1 and T2", "several weightings"), ("flair_seg", "a label map"),
        ("T1_phase", "a phase image"), ("t1_ph", "a phase image"), ("T1w_mprage_e1_ph", "a phase image"), ("Phase T1", "a phase image"),
        ("T1_real", "a real or imaginary image"), ("T1 difference", "a subtraction"), ("T1 post - pre", "a subtraction"),
        ("T1_post_minus_pre", "a subtraction"), ("T1 aftrek", "a subtraction"), ("T1 aftrekking", "a subtraction"),
        ("T1 вычитание", "a subtraction"), ("T1 DIXON fat", "a fat or opposed-phase image"),
        ("t1_vibe_dixon_tra_F", "a fat or opposed-phase image"), ("FAT: Ax T1 LAVA-Flex", "a fat or opposed-phase image"),
        ("AX T2 MPGR", "a susceptibility or T2* image"), ("T2 EG", "a susceptibility or T2* image"), ("Mag_Images", "a susceptibility or T2* image"),
        ("sDWI", "a diffusion image"), ("dADC", "a diffusion image"), ("3DI_MC_HR", "an angiogram"), ("AX T1 SUB-GD", "a subtraction"),
        ("SUB 3D T1", "a subtraction"), ("SUB-T1 POST", "a subtraction"), ("SUB-AX T1", "a subtraction"), ("T2_ci3d_tra", "a cisternogram or balanced image"), ("Espectroscopia", "spectroscopy"),
        ("tripilot T1", "a localiser"), ("PosDisp: [4] t1_mprage", "a picture of a screen"), ("T1 dinamica", "a perfusion image"),
        ("T1 MT", "a magnetization transfer image"), ("Magnetisation Transfer T1", "a magnetization transfer image"),
    ],
)  # fmt: skip
def test_names_of_what_is_none_of_the_four(name: str, kind: str) -> None:
    assert read_name(name).other == kind


@pytest.mark.parametrize(
    "name",
    [
        "T1_lesion", "sub-01_space-T1w_label-lesion_dseg", "FLAIR-label", "FLAIR_roi", "FLAIR_ROI1", "t1_label-2", "FLAIR_labels2",
        "FLAIR_truth", "FLAIR_gt", "T1_pred", "FLAIR_VOI", "t2_voi3",
    ],
)  # fmt: skip
def test_words_of_label_maps_count_in_file_names_only(name: str) -> None:
    assert read_name(name, file=True).other == "a label map"
    assert read_name("T1 lesion protocol").other == ""


@pytest.mark.parametrize(
    "name",
    [
        "t1_starvibe_fs_tra",
        "3D Sag T2 Cube FLAIR FS*",
        "EPILESSIA T1",
        "sub-07_T1w",
        "sub_07_T1",
        "sub-x1_ses-b_T1w",
        "sub-01 T1w",
        "sub-01-T1w",
        "anat sub-07 T1w",
        "sub-alice_T1w",
        "T1W_REST_SE",
        "T1W_IN_PHASE",
        "T1 late phase",
        "T1 phase sensitive IR",
        "T1 DIXON water",
        "T1 DIXON fat sat",
        "T1 SE MT GD",
        "AX T2 FRFSE ASSET",
        "t2_tse_tra_Deep Resolve",
        "Ludwig T1",
        "Christoffer_FLAIR",
    ],
)
def test_words_that_only_look_like_another_kind(name: str) -> None:
    assert read_name(name).other == ""


@pytest.mark.parametrize(
    "name", ["set1", "post1", "ct2", "ST1", "part2", "not1", "volt1", "unit1", "T10", "test2a", "nat1"]
)
def test_words_that_hold_t1_by_chance(name: str) -> None:
    assert read_name(name).says_nothing


@pytest.mark.parametrize("name", ["T2FSE", "AXT2FSE", "AxT2FRFSE", "T2FS", "OAXT2", "PROPT2", "T2DRIVE", "T2fatsat"])
def test_words_written_behind_t2_do_not_make_it_a_flair(name: str) -> None:
    assert (read_name(name).weighting, read_name(name).other) == ("T2", "")


@pytest.mark.parametrize("name", ["AXT1POST", "Ax T1 post", "ax_t1w_POST", "AxT1WPost"])
def test_words_written_into_one_are_taken_apart(name: str) -> None:
    assert split_words(name) == ["ax", "t1", "post"]


def test_series_before_and_after_contrast_share_their_other_words() -> None:
    plain = read_name("t1_space_sag_iso").base
    assert plain == ("t1", "space", "sag", "iso")
    for marked in ("t1_space_sag_iso_C", "t1_space_sag_iso+C", "mdc t1_space_sag_iso", "t1_space_sag_iso post gd"):
        assert read_name(marked).base == plain
    assert read_name("t1_space_tra_iso").base != plain
