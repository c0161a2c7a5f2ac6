"""Names of functionals as people, papers and programs write them, and what each stands for in libxc's identifiers."""

from __future__ import annotations

#: What libxc computes (as its own identifiers, or weights of them) -> spellings. Sources: the manuals of Gaussian 16
#: (keyword "DFT Methods"), ORCA 6 ("Choice of functional"), Psi4 1.9 ("DFT functionals"), Q-Chem 6 and PySCF 2.
PLAIN = {
    "hf,": "hf HF Hartree-Fock hartree_fock SCF",
    "lda_x,": "lda LDA Slater HFS lda, slater,",
    "lda_x,lda_c_vwn": "svwn SVWN SVWN5 svwn-5 s-vwn lda,vwn LDA,VWN5 slater,vwn",
    "lda_x,lda_c_vwn_rpa": "svwn3 SVWN3 svwn_rpa lda,vwn_rpa lda,vwn3",
    "lda_x,lda_c_pw_mod": "spw92 SPW92 S-PW92",
    "gga_x_b88,gga_c_lyp": "blyp BLYP B-LYP b88,lyp",
    "gga_x_b88,gga_c_p86": "bp86 BP86 b-p86 B88,P86",
    "gga_x_b88,gga_c_pbe": "bpbe BPBE b88,pbe",
    "gga_x_b88,gga_c_pw91": "bpw91 BPW91 B-PW91",
    "gga_x_pbe,gga_c_pbe": "pbe PBE PBEPBE pbe-pbe pbe,pbe gga_x_pbe,gga_c_pbe PBE_PBE",
    "gga_x_pbe_r,gga_c_pbe": "revpbe revPBE RevPBE revPBEPBE rev-PBE",
    "gga_x_rpbe,gga_c_pbe": "rpbe RPBE RPBEPBE rpbe,pbe",
    "gga_x_pbe_sol,gga_c_pbe_sol": "pbesol PBEsol PBE-sol pbe_sol",
    "gga_x_pw91,gga_c_pw91": "pw91 PW91 PW91PW91 pw91-pw91 pw91,pw91",
    "gga_x_optx,gga_c_lyp": "olyp OLYP O-LYP",
    "gga_x_optx,gga_c_pbe": "opbe OPBE",
    "gga_x_g96,gga_c_lyp": "g96lyp G96LYP",
    "gga_x_mpw91,gga_c_pw91": "mpwpw MPWPW mPWPW91 mpw91",
    "gga_x_mpw91,gga_c_lyp": "mpwlyp mPWLYP",
    "gga_x_rpw86,gga_c_pbe": "rpw86pbe RPW86PBE",
    "gga_xc_xlyp": "xlyp XLYP",
    "gga_x_am05,gga_c_am05": "am05 AM05",
    "gga_xc_hcth_93": "hcth93 HCTH/93 HCTH-93 hcth_93",
    "gga_xc_hcth_120": "hcth120 HCTH/120 hcth-120 hcth_120",
    "gga_xc_hcth_147": "hcth147 HCTH/147 hcth-147",
    "gga_xc_hcth_407": "hcth407 HCTH407 HCTH/407 hcth-407 hcth_407",
    "gga_x_n12,gga_c_n12": "n12 N12",
    "gga_x_gam,gga_c_gam": "gam GAM",
    "gga_x_sogga11,gga_c_sogga11": "sogga11 SOGGA11",
    "gga_xc_kt2": "kt2 KT2",
    "gga_xc_edf1": "edf1 EDF1",
    "hyb_gga_xc_pbeh": "pbe0 PBE0 PBE1PBE pbe1pbe PBEh pbe-0 PBE_0",
    "0.25*hf+0.75*gga_x_pbe_r,gga_c_pbe": "revpbe0 revPBE0 REVPBE0",
    "hyb_gga_xc_pbe38": "pbe38 PBE38",
    "0.5*hf+0.5*gga_x_pbe,gga_c_pbe": "pbe50 PBE50",
    "hyb_gga_xc_b3lyp": "b3lyp B3LYP B3-LYP B3LYP/G b3lyp_g b3lypg B3LYP(G) b3lyp(vwn-rpa)",
    "0.2*hf+0.08*lda_x+0.72*gga_x_b88,0.81*gga_c_lyp+0.19*lda_c_vwn": "b3lyp5 B3LYP5 B3LYP-5 b3lyp(vwn5) b3lyp_v5",
    "hyb_gga_xc_b3lyps": "b3lyp* B3LYP* b3lyps",
    "hyb_gga_xc_b3pw91": "b3pw91 B3PW91 B3-PW91",
    "hyb_gga_xc_b3p86": "b3p86 B3P86",
    "hyb_gga_xc_x3lyp": "x3lyp X3LYP",
    "hyb_gga_xc_o3lyp": "o3lyp O3LYP",
    "hyb_gga_xc_b1lyp": "b1lyp B1LYP",
    "hyb_gga_xc_b1pw91": "b1pw91 B1PW91",
    "hyb_gga_xc_bhandhlyp": "bhandhlyp BHandHLYP BHANDHLYP BHHLYP BH-LYP",
    "hyb_gga_xc_bhandh": "bhandh BHandH",
    "hyb_gga_xc_mpw1pw": "mpw1pw mPW1PW mPW1PW91 MPW1PW91 mpw1pw-91",
    "hyb_gga_xc_mpw1k": "mpw1k MPW1K",
    "hf,gga_c_lyp": "hflyp HFLYP hf-lyp",
    "hyb_gga_xc_b97": "b97 B97",
    "hyb_gga_xc_b97_1": "b97-1 B97-1 B971 b97_1",
    "hyb_gga_xc_b97_2": "b97-2 B97-2 B972 b97_2",
    "hyb_gga_xc_b97_3": "b97-3 B97-3 B973 b97_3",
    "hyb_gga_xc_b97_k": "b97-k B97-K b97k",
    "hyb_gga_x_sogga11_x,gga_c_sogga11_x": "sogga11-x SOGGA11-X SOGGA11X sogga11_x",
    "hyb_gga_xc_apf": "apf APF",
    "hyb_gga_xc_edf2": "edf2 EDF2",
    "mgga_x_tpss,mgga_c_tpss": "tpss TPSS TPSSTPSS tpss-tpss tpss,tpss",
    "hyb_mgga_xc_tpssh": "tpssh TPSSh TPSS-h tpss_h",
    "0.25*hf+0.75*mgga_x_tpss,mgga_c_tpss": "tpss0 TPSS0",
    "mgga_x_revtpss,mgga_c_revtpss": "revtpss revTPSS rev-TPSS RevTPSSRevTPSS",
    "hyb_mgga_xc_revtpssh": "revtpssh revTPSSh",
    "mgga_x_scan,mgga_c_scan": "scan SCAN scan,scan",
    "hyb_mgga_x_scan0,mgga_c_scan": "scan0 SCAN0 scan-0",
    "mgga_x_rscan,mgga_c_rscan": "rscan rSCAN",
    "mgga_x_r2scan,mgga_c_r2scan": "r2scan r2SCAN r²SCAN R2SCAN r2-scan",
    "hyb_mgga_xc_r2scan0": "r2scan0 r2SCAN0 r²SCAN0",
    "hyb_mgga_xc_r2scanh": "r2scanh r2SCANh",
    "hyb_mgga_xc_r2scan50": "r2scan50 r2SCAN50",
    "mgga_x_pkzb,mgga_c_pkzb": "pkzb PKZB",
    "mgga_x_gvt4,mgga_c_vsxc": "vsxc VSXC",
    "mgga_x_tau_hcth,gga_c_tau_hcth": "tau-hcth τ-HCTH tHCTH t-HCTH",
    "hyb_mgga_x_tau_hcth,gga_c_hyb_tau_hcth": "tHCTHhyb tau-hcthhyb",
    "mgga_x_tm,mgga_c_tm": "tm TM",
    "hyb_mgga_xc_b88b95": "b1b95 B1B95 B1-B95",
    "hyb_mgga_xc_bb1k": "bb1k BB1K",
    "hyb_mgga_xc_pw6b95": "pw6b95 PW6B95 PW6-B95",
    "hyb_mgga_xc_pwb6k": "pwb6k PWB6K",
    "hyb_mgga_xc_mpw1b95": "mpw1b95 MPW1B95",
    "hyb_mgga_xc_mpwb1k": "mpwb1k MPWB1K",
    "hyb_mgga_x_bmk,gga_c_bmk": "bmk BMK",
    "hyb_mgga_x_m05,mgga_c_m05": "m05 M05 M-05",
    "hyb_mgga_x_m05_2x,mgga_c_m05_2x": "m05-2x M05-2X M052X m05_2x",
    "hyb_mgga_x_m06,mgga_c_m06": "m06 M06",
    "mgga_x_m06_l,mgga_c_m06_l": "m06-l M06-L M06L m06_l M06(L)",
    "hyb_mgga_x_m06_2x,mgga_c_m06_2x": "m06-2x M06-2X M062X m06_2x M06/2X",
    "hyb_mgga_x_m06_hf,mgga_c_m06_hf": "m06-hf M06-HF M06HF m06_hf",
    "hyb_mgga_x_m08_hx,mgga_c_m08_hx": "m08-hx M08-HX M08HX m08_hx",
    "hyb_mgga_x_m08_so,mgga_c_m08_so": "m08-so M08-SO m08so",
    "hyb_mgga_x_m11,mgga_c_m11": "m11 M11 M-11",
    "mgga_x_m11_l,mgga_c_m11_l": "m11-l M11-L M11L m11_l",
    "mgga_x_mn12_l,mgga_c_mn12_l": "mn12-l MN12-L MN12L",
    "hyb_mgga_x_mn12_sx,mgga_c_mn12_sx": "mn12-sx MN12-SX MN12SX",
    "hyb_gga_x_n12_sx,gga_c_n12_sx": "n12-sx N12-SX N12SX",
    "hyb_mgga_x_mn15,mgga_c_mn15": "mn15 MN15",
    "mgga_x_mn15_l,mgga_c_mn15_l": "mn15-l MN15-L MN15L",
    "hyb_mgga_x_revm06,mgga_c_revm06": "revm06 revM06",
    "mgga_x_revm06_l,mgga_c_revm06_l": "revm06-l revM06-L revM06L",
    "hyb_gga_xc_cam_b3lyp": "cam-b3lyp CAM-B3LYP camb3lyp cam_b3lyp CAM_B3-LYP",
    "hyb_gga_xc_lc_wpbe": "lc-wpbe LC-wPBE LC-ωPBE lc_wpbe LCwPBE lc-omegapbe LC-OmegaPBE",
    "hyb_gga_xc_lrc_wpbe": "lrc-wpbe LRC-wPBE LRC-ωPBE lrc_wpbe",
    "hyb_gga_xc_lrc_wpbeh": "lrc-wpbeh LRC-wPBEh LRC-ωPBEh",
    "hyb_gga_xc_hse03": "hse03 HSE03 HSE-03 OHSE2PBE",
    "hyb_gga_xc_hse06": "hse06 HSE06 HSE-06 HSEH1PBE hse_06",
    "hyb_gga_xc_wb97": "wb97 wB97 ωB97 WB97 omegaB97 w-b97",
    "hyb_gga_xc_wb97x": "wb97x wB97X ωB97X WB97X ωB97x omega-B97X wB97-X ωb97x Ωb97x",
    "hyb_gga_xc_cam_qtp_01": "cam-qtp01 CAM-QTP-01 camqtp01 cam_qtp_01",
}

#: The same for names with VV10; libxc states its parameters.
WITH_VV10 = {
    "hyb_gga_xc_wb97x_v": "wb97x-v wB97X-V ωB97X-V wb97xv wb97x_v WB97X(V) hyb_gga_xc_wb97x_v",
    "hyb_mgga_xc_wb97m_v": "wb97m-v wB97M-V ωB97M-V wb97mv WB97MV wb97m_v ω-B97M-V omegaB97M-V",
    "mgga_xc_b97m_v": "b97m-v B97M-V b97mv B97M_V mgga_xc_b97m_v",
    "hyb_gga_xc_lc_vv10": "lc-vv10 LC-VV10 lc_vv10",
    "mgga_x_scan,mgga_c_scan_vv10": "scan-vv10 SCAN-VV10 SCAN_VV10 SCAN+VV10",
    "mgga_x_revscan,mgga_c_revscan_vv10": "revscan-vv10 revSCAN-VV10",
    "hyb_mgga_xc_gas22": "gas22 GAS22",
}

#: (what libxc computes, method, the libraries' name of the functional) -> spellings.
WITH_DISPERSION = {
    ("hyb_gga_xc_b3lyp", "d3bj", "b3lyp"): (
        "b3lyp-d3bj|B3LYP-D3BJ|B3LYP-D3(BJ)|B3LYP_D3BJ|b3lyp_d3(bj)|B3LYP D3BJ|B3LYP+D3(BJ)|B3LYP-D3[BJ]|b3lypd3bj|"
        "B3LYP/G-D3BJ|b3lyp-d3bj2b|B3LYP\u2013D3(BJ)|B3LYP-DFTD3BJ|B3-LYP-D3(BJ)"
    ),
    (
        "hyb_gga_xc_b3lyp",
        "d3zero",
        "b3lyp",
    ): "b3lyp-d3zero|B3LYP-D3ZERO|B3LYP-D3(0)|b3lyp_d3zero|B3LYP-D30|b3lyp-d3(zero)",
    ("hyb_gga_xc_b3lyp", "d4", "b3lyp"): "b3lyp-d4|B3LYP-D4|B3LYP_D4|B3LYP D4|B3LYPD4|B3LYP+D4|B3LYP(D4)",
    ("gga_x_pbe,gga_c_pbe", "d3bj", "pbe"): "pbe-d3bj|PBE-D3(BJ)|PBE_D3BJ|PBEPBE-D3BJ|pbe,pbe-d3bj|PBE+D3BJ",
    ("gga_x_pbe,gga_c_pbe", "d3zero", "pbe"): "pbe-d3zero|PBE-D3(0)|PBE+D3(0)",
    ("gga_x_pbe,gga_c_pbe", "d4", "pbe"): "pbe-d4|PBE-D4|PBE+D4",
    ("hyb_gga_xc_pbeh", "d3bj", "pbe0"): "pbe0-d3bj|PBE0-D3(BJ)|PBE1PBE-D3BJ|pbe0_d3(bj)",
    ("hyb_gga_xc_pbeh", "d4", "pbe0"): "pbe0-d4|PBE0-D4|PBE1PBE-D4|PBEh-D4|pbe0_d4",
    ("gga_x_b88,gga_c_lyp", "d3bj", "blyp"): "blyp-d3bj|BLYP-D3(BJ)|BLYP_D3BJ",
    ("gga_x_b88,gga_c_p86", "d3bj", "bp86"): "bp86-d3bj|BP86-D3(BJ)|BP86_D3BJ",
    ("gga_x_pbe_r,gga_c_pbe", "d3bj", "revpbe"): "revpbe-d3bj|revPBE-D3(BJ)|RevPBEPBE-D3BJ",
    ("gga_x_rpbe,gga_c_pbe", "d3zero", "rpbe"): "rpbe-d3zero|RPBE-D3(0)",
    ("mgga_x_tpss,mgga_c_tpss", "d3bj", "tpss"): "tpss-d3bj|TPSS-D3(BJ)|TPSSTPSS-D3BJ",
    ("hyb_mgga_xc_tpssh", "d4", "tpssh"): "tpssh-d4|TPSSh-D4",
    ("mgga_x_r2scan,mgga_c_r2scan", "d4", "r2scan"): "r2scan-d4|r2SCAN-D4|r²SCAN-D4",
    ("hyb_gga_xc_cam_b3lyp", "d3bj", "cam-b3lyp"): (
        "cam-b3lyp-d3bj|CAM-B3LYP-D3(BJ)|cam-b3lyp-d3(bj)|CAM_B3LYP_D3BJ|CAM-B3LYP D3BJ"
    ),
    ("hyb_mgga_x_m06_2x,mgga_c_m06_2x", "d3zero", "m06-2x"): "m06-2x-d3zero|M06-2X-D3(0)|M06_2X-D3ZERO",
    ("mgga_x_m06_l,mgga_c_m06_l", "d3zero", "m06-l"): "m06-l-d3zero|M06-L-D3(0)",
    ("hyb_gga_xc_bhandhlyp", "d3bj", "bhandhlyp"): "bhandhlyp-d3bj|BHandHLYP-D3(BJ)",
    ("hyb_gga_xc_lc_wpbe", "d3bj", "lc-wpbe"): "LC-ωPBE-D3(BJ)|lc_wpbe-d3bj",
    ("hf,", "d3bj", "hf"): "hf-d3bj|HF-D3(BJ)|HF_D3BJ",
    ("hyb_gga_xc_hse06", "d3bj", "hse06"): "hse06-d3bj|HSE06-D3(BJ)|HSEH1PBE-D3BJ",
    ("hyb_mgga_xc_pw6b95", "d3bj", "pw6b95"): "pw6b95-d3bj|PW6B95-D3(BJ)",
    ("hyb_gga_xc_mpw1pw", "d3bj", "mpw1pw91"): "mPW1PW91-D3(BJ)|mpw1pw91-d3bj",
    ("gga_xc_b97_d", "d3bj", "b97d"): "b97-d3bj|B97-D3(BJ)|B97-D3BJ|b97d-d3bj|B97_D3BJ|b97d3bj",
    ("gga_xc_b97_d", "d3zero", "b97d"): "b97-d3zero|B97-D3(0)|b97d-d3zero",
    ("mgga_xc_b97m_v", "d3bj", "b97m"): "b97m-d3bj|B97M-D3(BJ)|B97M-D3BJ|b97m_d3bj|B97MD3BJ",
    ("mgga_xc_b97m_v", "d4", "b97m"): "b97m-d4|B97M-D4",
    ("hyb_gga_xc_wb97x_d", "chg", "wb97x-d"): (
        "wb97x-d|wB97X-D|ωB97X-D|wb97xd|WB97XD|ωB97XD|wb97x_d|hyb_gga_xc_wb97x_d|HYB_GGA_XC_WB97X_D"
    ),
    ("hyb_gga_xc_wb97x_d3", "d3zero", "wb97x"): (
        "wb97x-d3|wB97X-D3|ωB97X-D3|wb97xd3|WB97XD3|wb97x_d3|ωB97X-D3(0)|wb97x-d3zero|hyb_gga_xc_wb97x_d3"
    ),
    ("hyb_gga_xc_wb97x_v", "d3bj", "wb97x"): (
        "wb97x-d3bj|wB97X-D3BJ|ωB97X-D3(BJ)|wb97x-d3(bj)|wb97x_d3bj|WB97X-D3BJ|wb97xd3bj|omegaB97X-D3BJ"
    ),
    ("hyb_gga_xc_wb97x_v", "d4", "wb97x"): "wb97x-d4|wB97X-D4|ωB97X-D4|wb97x_d4",
    ("hyb_mgga_xc_wb97m_v", "d3bj", "wb97m"): (
        "wb97m-d3bj|wB97M-D3BJ|ωB97M-D3(BJ)|wb97m-d3(bj)|wb97m_d3bj|WB97M-D3BJ|wb97md3bj"
    ),
    ("hyb_mgga_xc_wb97m_v", "d4", "wb97m"): "wb97m-d4|wB97M-D4|ωB97M-D4",
    ("hyb_mgga_x_cf22d,mgga_c_cf22d", "d3zero", "cf22d"): "cf22d|CF22D|cf22d-d3zero",
}

#: What the refusal must say -> names.
REFUSED = {
    "double hybrid": (
        "wb97x-2 wB97X-2 ωB97X-2 ωB97X-2(LP) wb97x-2(tqz) pbe0-2 PBE0-2 PBE0-DH pbe0dh PBE-QIDH PBEQIDH B2PLYP b2-plyp "
        "B2GP-PLYP B2K-PLYP B2T-PLYP mPW2PLYP mPW2PLYPD mPW2K-PLYP wB2PLYP ωB2GP-PLYP DSD-BLYP DSD-PBEP86 DSDPBEP86 "
        "revDSD-PBEP86-D4 revDSD-PBEP86-D3(BJ) DOD-SCAN xDSD75-PBEP86 RSX-QIDH RSX-0DH XYG3 XYGJ-OS xDH-PBE0 PWPB95 "
        "PWPB95-D4 PTPSS B2PLYP-D3BJ B2PLYPD3 B2PLYP-D3(BJ) wB97M(2) ωB97M(2) Pr2SCAN50 SCAN0-2 r2SCAN-QIDH TPSS0-DH "
        "LS1-DH"
    ),
    "composite": (
        "hf-3c HF-3C HF3c PBEh-3c pbeh3c HSE-3c b97-3c B97-3c B973c r2SCAN-3c r²SCAN-3c wB97X-3c ωB97X-3c "
        "gga_xc_b97_3c"
    ),
    "which damping of D3 is meant": (
        "B3LYP-D3 b3lyp-d3 B3LYPD3 b3lyp_d3 pbe-d3 PBE0-D3 wb97-d3 BLYP-D3 M06-2X-D3 B97-D3 b97d3 TPSS-D3 CAM-B3LYP-D3 "
        "HSE06-D3 HF-D3 pw6b95d3"
    ),
    "D2": "B3LYP-D b3lyp-d2 PBE-D PBE-D2 pbe_d2 BLYP-D2 B97-D b97d B97D gga_xc_b97_d B97_D OPBE-D otpss-d",
    "is not here": (
        "b3lyp-d3mbj b3lyp-d3bjm B3LYP-D3M(BJ) PBE-D3M PBE-D3(CSO) b3lyp-d3op PBE-TS PBE+TS PBE-MBD PBE+MBD HSE06+MBD "
        "B3LYP-NL PBE-dDsC B3LYP-XDM PBE+U r2scan+rvv10"
    ),
    "which the name is to say": "B3LYP-gCP hf_gcp PBE-D3(BJ)-gCP",
    "gCP has parameters for a basis set, not": "B3LYP-gCP(cc-pVTZ) hf-gcp(sto-3g)",
    "gCP goes with": "wb97x-d-gcp(6-31g*) wB97M-V-gCP(def2-SVP)",
    "count it twice": "wb97m-v-d3bj wb97x-v-d4 B97M-V-D3BJ wb97x-d-d3bj wb97x-d3-d4",
    "leaves open": "hse HSE hcth HCTH bp xalpha LSD",
    "Gaussian": "lsda LSDA",
    "scf.reference": "ub3lyp UB3LYP RHF UHF ROHF ROB3LYP RPBE0 UM062X",
    "basis set too": "B3LYP/6-31G* PBE0/def2-SVP b3lyp-d3bj/def2-tzvp HF/STO-3G",
    "no density functional": "MP2 RI-MP2 CCSD CCSD(T) DLPNO-CCSD(T) GFN2-xTB PM7",
    "van der Waals": "vdW-DF vdw-df2 BEEF-vdW optB88-vdW",
    "rVV10": "scan-rvv10 SCAN+rVV10 mgga_c_scan_rvv10",
    "own": "APFD SSB-D revSSB-D",
    "is not published": "wb97m-d3zero b97m-d3(0)",
    "write the one": "zlp tau_hcth,",
}

#: What PySCF's parser makes something of, or nearly, and nobody means.
UNKNOWN = (
    "pbe0-1 b3lyp-402 b3lyp-lyp pbe-vwn pbe,pbe-1 402-1 wb97x-7 b3lyp- -b3lyp-0.2 b3lyp,, b3lyp-d5 nonsense "
    "b3lyp-d3bjx pbe- b88,lyp-d3bjj 0.2*0.3*hf"
)
