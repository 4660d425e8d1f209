import com.pixelmed.validate.DicomSRValidator;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** PixelMed's SR validator on many files in one machine: loading its rules takes most of its time. */
public class ValidateAll {
    /** The argument is a text file with one path a line. */
    public static void main(String[] arguments) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        for (String path : Files.readAllLines(Path.of(arguments[0]), StandardCharsets.UTF_8)) {
            System.out.println("== " + path);
            System.out.println(validator.validate(path));
        }
    }
}
