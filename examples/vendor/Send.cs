/* Send one notice with one attachment, and wait for what becomes of it. C# 5 and later, standard library only.
 *
 *     csc Send.cs        (or: mcs Send.cs; .NET 5 and later: a console project with this one file)
 *     Send OUTBOX STATUS ATTACHMENT SENDER RECEIVER REFERENCE TITLE [utf-8|gbk|gb18030]
 * The three steps that count are marked 1, 2, 3. All else is this one business type: see README.md.
 * 三个关键步骤标为 1、2、3；其余内容只与本业务类型有关，见 README.md。 */

using System;
using System.IO;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Xml;

public static class Send
{
    const string BusinessType = "notice.publish"; // 通知公告: guide, business types
    const string DocumentType = "COM-017"; // the document that this type requires 必备文书

    /// Put the drop into the outbox. 投递。
    static void Drop(string outbox, string attachment, string sender, string receiver, string reference,
        string title, string encoding)
    {
        string name = reference; // new for every drop: letters, digits, hyphens 每次不同
        string folder = Path.Combine(outbox, name + ".tmp");
        if (Directory.Exists(folder)) throw new IOException(folder + " is left from an earlier try: remove it");
        Directory.CreateDirectory(folder); // 1. a temporary name: nobody reads what ends in .tmp 临时名
        string fileName = Path.GetFileName(attachment), copy = Path.Combine(folder, fileName);
        File.Copy(attachment, copy);
        string sha256; // 2. size and digest 大小和摘要
        using (var algorithm = SHA256.Create()) using (var reader = File.OpenRead(copy))
            sha256 = BitConverter.ToString(algorithm.ComputeHash(reader)).Replace("-", "").ToLowerInvariant();
        string size = new FileInfo(copy).Length.ToString();

        var text = new StringBuilder("<?xml version=\"1.0\" encoding=\"" + encoding + "\"?>");
        using (var xml = XmlWriter.Create(text, new XmlWriterSettings { OmitXmlDeclaration = true }))
        {
            xml.WriteStartElement("packet", "urn:exchanged:packet:1");
            xml.WriteAttributeString("version", "1.0");
            xml.WriteStartElement("envelope"); // in this order 顺序固定
            xml.WriteElementString("senderRef", reference);
            xml.WriteElementString("businessType", BusinessType);
            xml.WriteElementString("sender", sender);
            xml.WriteElementString("receiver", receiver);
            xml.WriteElementString("createdAt", DateTimeOffset.Now.ToString("yyyy-MM-dd'T'HH:mm:sszzz"));
            xml.WriteElementString("priority", "normal");
            xml.WriteElementString("track", "single");
            xml.WriteElementString("handover", "copy");
            xml.WriteElementString("secrecy", "none");
            xml.WriteEndElement();
            xml.WriteStartElement("body");
            xml.WriteStartElement(BusinessType, "urn:exchanged:body:1");
            xml.WriteElementString("notice_title", title);
            for (int i = 0; i < 2; i++) xml.WriteEndElement(); // of the type, of the body
            foreach (string element in new[] { "attachments", "attachment" }) xml.WriteStartElement(element);
            xml.WriteAttributeString("file", fileName);
            xml.WriteAttributeString("documentType", DocumentType);
            xml.WriteAttributeString("size", size);
            xml.WriteAttributeString("sha256", sha256);
        }
        // What the encoding lacks must raise, not become a question mark: then send it in gb18030 or utf-8.
        var strict = Encoding.GetEncoding(encoding, EncoderFallback.ExceptionFallback, DecoderFallback.ReplacementFallback);
        File.WriteAllBytes(Path.Combine(folder, "packet.xml"), strict.GetBytes(text.ToString()));
        Directory.Move(folder, Path.Combine(outbox, name)); // 3. the rename comes last 最后改名
    }

    static XmlElement Load(string path) // null: not there yet, or just being replaced
    {
        var status = new XmlDocument();
        try { status.Load(path); return status.DocumentElement; } catch (IOException) { return null; }
    }

    /// Tell each state until it is final; the last one. 轮询状态，直到终态。
    static string Await(string path, string old)
    {
        for (string before = ""; ; Thread.Sleep(1000))
        {
            XmlElement root = Load(path);
            if (root == null || root["updatedAt"].InnerText == old) continue; // of an earlier drop 旧状态
            string state = root["state"].InnerText;
            if (state != before) Console.WriteLine("state: " + state + " " + root["message"]["zh"].InnerText);
            before = state;
            if (root["final"].InnerText != "true") continue;
            foreach (XmlElement finding in root.GetElementsByTagName("finding"))
                Console.WriteLine("finding: " + finding.GetAttribute("code") + " " + finding["zh"].InnerText
                    + "\n         " + finding["en"].InnerText);
            return state;
        }
    }

    public static int Main(string[] a)
    {
        // .NET 5 and later know GBK only when asked: Encoding.RegisterProvider(CodePagesEncodingProvider.Instance);
        string status = Path.Combine(a[1], a[5] + ".status.xml");
        XmlElement old = Load(status); // an earlier drop of that name may have left one 同名旧件的状态
        Drop(a[0], a[2], a[3], a[4], a[5], a[6], a.Length > 7 ? a[7] : "utf-8");
        string state = Await(status, old == null ? "" : old["updatedAt"].InnerText);
        return Array.IndexOf(new[] { "delivered", "collected", "signed" }, state) >= 0 ? 0 : 1;
    }
}
